"""The lab has exactly what the policies name."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path

from include.lab import data_loader
from include.lab.credentials import AIRFLOW_USERS, LabSecrets, connections
from include.lab.systems import (
    AIRFLOW_DATABASE_PORT,
    AIRFLOW_PORT,
    AWS_PORT,
    DNS_PORT,
    REGIONS,
    SLACK_PORT,
    SYSTEMS,
)
from include.lab.tls import make_certificates
from include.recovery.policy.files import load_folder

POLICIES = load_folder(Path(__file__).parents[2] / "include" / "policies")


def test_every_policy_has_its_system_and_database() -> None:
    assert {system.name for system in SYSTEMS} == set(POLICIES.systems)
    for system in SYSTEMS:
        assert system.database in {source.database for source in POLICIES.systems[system.name].sources}


def test_every_connection_that_a_policy_names_is_made(tmp_path: Path) -> None:
    made = connections(LabSecrets.random(), make_certificates(tmp_path, datetime.datetime.now(datetime.UTC)))
    platform = POLICIES.platform
    named = {platform.encryption.kms_connection, platform.approvals.signing_connection}
    named |= {platform.notifications.slack_connection, *(f"lifeboat_{store}" for store in platform.stores)}
    for policy in POLICIES.systems.values():
        named |= {name for source in policy.sources for name in (source.connections.backup, source.connections.restore)}
    assert named <= set(made)


def test_the_stores_are_the_policies_stores() -> None:
    stores = {name: (store.bucket, store.region, store.locked) for name, store in POLICIES.platform.stores.items()}
    assert stores == {region.store: (region.bucket, region.name, bool(region.locked_days)) for region in REGIONS}


def test_everybody_with_a_role_can_log_in() -> None:
    people = {name for policy in POLICIES.systems.values() for role in policy.roles.values() for name in role.people}
    assert people <= set(AIRFLOW_USERS)


def test_every_system_has_data_and_traffic() -> None:
    for system in SYSTEMS:
        assert (data_loader.DATA / f"{system.name}.sql").exists()
        assert (data_loader.DATA / f"{system.name}.traffic.sql").exists()


def test_no_port_is_taken_twice() -> None:
    ports = [AIRFLOW_PORT, AIRFLOW_DATABASE_PORT, AWS_PORT, SLACK_PORT, DNS_PORT]
    ports += [port for system in SYSTEMS for port in (system.database_port, system.web_port)]
    ports += [port for region in REGIONS for port in (region.ports.monitor, region.ports.gateway)]
    ports += [region.ports.osd + n for region in REGIONS for n in range(8)]
    assert [port for port, count in Counter(ports).items() if count > 1] == []


def test_secrets_are_random_private_and_lasting(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = LabSecrets.load_or_make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert LabSecrets.load_or_make(path) == first
    assert LabSecrets.random() != first
    values = [*json.loads(path.read_text())["users"].values(), first.signing_key, first.slack_token]
    assert not any(value in repr(first) for value in values)
