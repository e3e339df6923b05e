"""Service and catalog side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.catalog.manifests import parsed, sealed
from include.recovery.catalog.model import Backup, ManagedCopy, ManagedSnapshot, Manifest, Summary
from include.recovery.rds.cross_check import CrossCheck, cross_check
from include.recovery.rds.names import SCRATCH, SOURCE, SYSTEM, snapshot_tags
from include.recovery.rds.snapshots import Instance, Snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "system": "shop", "source": "managed-db", "kind": "rds", "id": "20261121T120000Z-0001", "started_by": "a test",
    "started_at": NOW, "snapshot_at": NOW, "finished_at": NOW, "server_version": "15.4", "tool_versions": {},
    "compression": "by the service", "fence": 1, "parts": (),
}  # fmt: skip


def copy(identifier: str, store: str = "primary") -> ManagedCopy:
    region = "us-east-1" if store == "primary" else "us-west-2"
    return ManagedCopy(
        region=region, store=store, identifier=identifier, arn=f"arn:{region}:{identifier}", created_at=NOW,
        encrypted=False,
    )  # fmt: skip


def entry(identifier: str) -> Backup:
    managed = ManagedSnapshot(
        instance="shop-db", engine="postgres", allocated_gib=20, size=7,
        copies=(copy(identifier), copy(identifier, "offsite")),
    )  # fmt: skip
    return Backup(manifest=Manifest(**FACTS, managed=managed), store="primary")


def snapshot(identifier: str, begun: datetime = NOW - timedelta(days=2), **values: Any) -> Snapshot:
    given: dict[str, Any] = {
        "arn": f"arn:{identifier}", "region": "us-east-1", "instance": "shop-db", "status": "available",
        "engine": "postgres", "version": "15.4", "allocated_gib": 20, "encrypted": False,
        "tags": snapshot_tags("shop", "managed-db", "daily", "r", begun, {}),
    }  # fmt: skip
    return Snapshot(identifier, **(given | values))


def instance(identifier: str, **tags: str) -> Instance:
    own = {SYSTEM: "shop", SOURCE: "managed-db"} | tags
    return Instance(identifier, "us-east-1", "available", "postgres", "15.4", encrypted=False, keeps=0, tags=own)


def checked(snapshots: list[Snapshot], listed: list[Backup], instances: list[Instance] | None = None) -> CrossCheck:
    return cross_check(
        ("shop", "managed-db"), "us-east-1", "primary", snapshots, instances or [], listed,
        settled=NOW - timedelta(hours=9),
    )  # fmt: skip


def test_both_directions_are_named() -> None:
    seen = checked([snapshot("known"), snapshot("forgotten")], [entry("known"), entry("vanished")])
    assert [found.identifier for found in seen.unknown] == ["forgotten"]
    assert len(seen.gone) == 1
    assert seen.sentences[0] == (
        "RDS snapshot forgotten in us-east-1 (available) carries Lifeboat's tags and the catalog of store primary does "
        "not list it, so retention never removes it; let it be taken in, or remove it"
    )


def test_what_may_be_in_the_making_and_what_is_not_ours_is_left_alone() -> None:
    running = snapshot("running", begun=NOW - timedelta(hours=2))
    others = snapshot("theirs", tags={})
    sibling = snapshot("sibling", tags=snapshot_tags("shop", "other-db", "daily", "r", NOW, {}))
    assert checked([running, others, sibling], []) == CrossCheck("us-east-1", "primary")


def test_only_what_carries_its_own_name_is_a_scratch_instance() -> None:
    scratch, copied = instance("s-1", **{SCRATCH: "s-1"}), instance("production", **{SCRATCH: "s-1"})
    assert checked([], [], [scratch, copied, instance("other")]).scratch == (scratch,)


def test_an_entry_says_where_its_snapshot_is_and_older_manifests_stay_valid() -> None:
    manifest = entry("known").manifest
    assert isinstance(manifest, Manifest)
    assert manifest.stored_size == 7
    assert manifest.managed is not None
    assert [manifest.managed.copy_in(store) for store in ("primary", "offsite", "moon")] == [
        *manifest.managed.copies, None
    ]  # fmt: skip
    assert parsed(sealed(manifest, b"k" * 32), manifest.prefix) == manifest
    older = Manifest(**FACTS).model_dump(mode="json")
    del older["managed"]
    assert Manifest.model_validate(older).managed is None
    assert Summary.model_validate_json(manifest.summary().model_dump_json(exclude_defaults=True)).managed == (
        manifest.managed
    )


@pytest.mark.parametrize("percent", [0, 40])
def test_a_snapshot_reads_what_the_service_tells(percent: int) -> None:
    made = Snapshot.of(
        {
            "DBSnapshotIdentifier": "s", "DBSnapshotArn": "arn", "DBInstanceIdentifier": "i", "Status": "Creating",
            "Engine": "postgres", "EngineVersion": "15.4", "AllocatedStorage": 20, "Encrypted": False,
            "KmsKeyId": "k", "PercentProgress": percent, "TagList": [{"Key": "a", "Value": "b"}, {"Key": "c"}],
        },
        "us-east-1",
    )  # fmt: skip
    assert (made.status, made.percent, made.kms_key, made.tags) == ("creating", percent, None, {"a": "b", "c": ""})
