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
from include.lab.repositories import HISTORIES
from include.lab.systems import (
    AIRFLOW_DATABASE_PORT,
    AIRFLOW_PORT,
    AWS_PORT,
    BUCKETS,
    CLUSTERS,
    DNS_PORT,
    GIT_PORT,
    MONGODB_PORT,
    PROMETHEUS_PORT,
    REDIS_PORT,
    REGIONS,
    REPOSITORIES,
    SLACK_PORT,
    SYSTEMS,
    VAULT_PORT,
)
from include.lab.tls import make_certificates
from include.lab.uploads import TERRAFORM_KEY
from include.recovery.policy.files import load_folder
from include.recovery.policy.source_kinds.files import FilesSource
from include.recovery.policy.source_kinds.git import GitSource
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource
from include.recovery.policy.source_kinds.objects import ObjectsSource
from include.recovery.policy.source_kinds.terraform import StateInS3, TerraformSource

POLICIES_FOLDER = Path(__file__).parents[2] / "include" / "policies"
POLICIES = load_folder(POLICIES_FOLDER)


def test_every_policy_has_its_system_and_database() -> None:
    assert {system.name for system in SYSTEMS} == set(POLICIES.systems)
    for system in SYSTEMS:
        assert system.database in {source.database for source in POLICIES.systems[system.name].databases}


def connections_of(directory: Path) -> dict[str, dict[str, Any]]:
    certificates = make_certificates(directory, datetime.datetime.now(datetime.UTC))
    return connections(LabSecrets.random(), certificates, directory)


def connections_in(policy: Any) -> set[str]:
    """Every connection that something in a policy names."""
    if isinstance(policy, list | tuple):
        return {name for each in policy for name in connections_in(each)}
    if not isinstance(policy, dict):
        return set()
    own = {value for key, value in policy.items() if key.endswith("connection") and isinstance(value, str)}
    roles = set(policy["connections"].values()) if "connections" in policy else set()
    return own | roles | connections_in(list(policy.values()))


def test_every_connection_that_a_policy_names_is_made(tmp_path: Path) -> None:
    made = connections_of(tmp_path)
    platform = POLICIES.platform
    named = {platform.encryption.kms_connection, platform.approvals.signing_connection}
    named |= {platform.notifications.slack_connection, *(f"lifeboat_{store}" for store in platform.stores)}
    for policy in POLICIES.systems.values():
        named |= connections_in(policy.model_dump(mode="json"))
    named |= {store.repository.connection for store in platform.stores.values() if store.repository}
    assert len(named) > 40
    assert named <= set(made)


def test_no_policy_holds_a_secret_of_the_lab(tmp_path: Path) -> None:
    secret = [found["password"] for found in connections_of(tmp_path).values() if found.get("password")]
    policies = "".join(path.read_text() for path in sorted((POLICIES_FOLDER).glob("*.yaml")))
    assert not [word for word in secret if len(word) > 4 and word in policies]


def test_every_bucket_repository_cluster_and_host_of_the_policies_is_made(tmp_path: Path) -> None:
    made, buckets = connections_of(tmp_path), {(bucket.name, bucket.connection) for bucket in BUCKETS}
    for policy in POLICIES.systems.values():
        for source in policy.sources:
            if isinstance(source, ObjectsSource):
                replica = source.replica
                assert {(source.bucket, source.connection), (replica.bucket, replica.connection)} <= buckets
            elif isinstance(source, TerraformSource):
                assert isinstance(source.backend, StateInS3)
                assert (source.backend.bucket, source.backend.connection) in buckets
                assert source.backend.key == TERRAFORM_KEY
            elif isinstance(source, GitSource):
                name = source.repository.rpartition("/")[2].removesuffix(".git")
                assert (REPOSITORIES[name], source.repository) == (
                    source.connection, f"{made[source.connection]['host']}/{name}.git"
                )
                assert name in HISTORIES
            elif isinstance(source, KubernetesSource):
                assert made[source.connection]["host"].endswith(f":{CLUSTERS[policy.system]}")
            elif isinstance(source, FilesSource):
                assert source.host_connection is not None
                assert made[source.host_connection]["extra"]["root"] == str(tmp_path / "hosts" / policy.system)


def test_the_primary_region_has_what_is_written_and_the_second_the_replicas() -> None:
    for bucket in BUCKETS:
        assert bucket.region == ("offsite" if bucket.name.endswith("-replica") else "primary")


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
    ports += [GIT_PORT, MONGODB_PORT, REDIS_PORT, VAULT_PORT, VAULT_PORT + 1, PROMETHEUS_PORT, *CLUSTERS.values()]
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
    del saved["regions"]["primary"]["repository"], saved["regions"]["offsite"]["uploads"], saved["sources"]
    path.write_text(json.dumps(saved))
    completed = LabSecrets.load_or_make(path)
    assert completed.region("primary").writer == first.region("primary").writer
    assert completed.region("offsite").expiry == first.region("offsite").expiry
    assert LabSecrets.load_or_make(path) == completed
    assert path.stat().st_mode & 0o777 == 0o600
    values = [*json.loads(path.read_text())["users"].values(), first.signing_key, first.slack_token, first.sources.git]
    assert not any(value in repr(first) for value in values)
