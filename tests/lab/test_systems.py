"""The lab has exactly what the policies name."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

from include.lab import data_loader
from include.lab.credentials import AIRFLOW_USERS, LabSecrets, connections
from include.lab.lab import Lab
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


def connections_of(directory: Path) -> dict[str, dict[str, Any]]:
    certificates = make_certificates(directory, datetime.datetime.now(datetime.UTC))
    return connections(LabSecrets.random(), certificates, directory / "postgres")


def test_every_connection_that_a_policy_names_is_made(tmp_path: Path) -> None:
    made = connections_of(tmp_path)
    platform = POLICIES.platform
    named = {platform.encryption.kms_connection, platform.approvals.signing_connection}
    named |= {platform.notifications.slack_connection, *(f"lifeboat_{store}" for store in platform.stores)}
    for policy in POLICIES.systems.values():
        named |= {name for source in policy.sources for name in (source.connections.backup, source.connections.restore)}
        named |= {source.physical.connection for source in policy.sources if source.physical}
    named |= {store.repository.connection for store in platform.stores.values() if store.repository}
    assert len(named) == 21
    assert named <= set(made)


def test_a_cluster_is_reached_over_its_socket_without_a_password(tmp_path: Path) -> None:
    made, lab = connections_of(tmp_path), Lab(tmp_path)
    for system in SYSTEMS:
        found = made[f"{system.id}_cluster"]
        assert found["host"] == str(lab.cluster(system).socket_directory)
        assert (found["port"], found["login"], found.get("password")) == (system.database_port, "postgres", None)


def test_repositories_have_buckets_and_credentials_of_their_own(tmp_path: Path) -> None:
    made = connections_of(tmp_path)
    repositories = {name: store.repository for name, store in POLICIES.platform.stores.items()}
    assert {r.store: (r.repository, f"lifeboat_{r.store}_repo") for r in REGIONS} == {
        name: (repository.bucket, repository.connection) for name, repository in repositories.items()
    }
    logins = [made[f"lifeboat_{region.store}{end}"]["login"] for region in REGIONS for end in ("", "_repo")]
    assert len(set(logins)) == 4


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
    saved = json.loads(path.read_text())
    del saved["regions"]["primary"]["repository"]
    path.write_text(json.dumps(saved))
    completed = LabSecrets.load_or_make(path)
    assert completed.region("primary").writer == first.region("primary").writer
    assert completed.region("offsite") == first.region("offsite")
    assert LabSecrets.load_or_make(path) == completed
    assert path.stat().st_mode & 0o777 == 0o600
    values = [*json.loads(path.read_text())["users"].values(), first.signing_key, first.slack_token]
    assert not any(value in repr(first) for value in values)
