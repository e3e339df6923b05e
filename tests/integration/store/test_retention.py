"""Removing backups from real versioned buckets: for good, under locks and holds, with no more rights than needed."""

from __future__ import annotations

import io
import json
import shutil
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest, Proof, ProofLevel
from include.recovery.catalog.removal import NO_END, Outcome
from include.recovery.catalog.removed import was_removed
from include.recovery.errors import ObjectLocked, StoreError
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.kms import KmsWrapper
from include.recovery.policy.files import load_folder
from include.recovery.retention.carry_out import carry_out, require_done
from include.recovery.retention.gather import look
from include.recovery.sources import RunInfo
from include.recovery.stores.s3 import S3Store
from include.recovery.workspace import Workspace

if TYPE_CHECKING:
    from tests.fixtures.servers import Kms, ObjectStores

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
WHY = "no line of daily wants it"


@pytest.fixture
def system() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def keyring(kms: Kms) -> Keyring:
    return Keyring([KmsWrapper.from_connection(kms.connection, kms.alias)])


@pytest.fixture
def back_up(system: str, keyring: Keyring) -> Callable[..., Manifest]:
    def back_up(store: S3Store, at: datetime | None = None, source: str = "main-db") -> Manifest:
        moment = at or datetime.now(UTC)
        owner = Owner.of_this_process(f"run-{moment:%Y%m%d}")
        catalog = Catalog(store, now=lambda: moment)
        with catalog.begin(system, source, "postgres", tier="weekly-full", owner=owner, keyring=keyring) as backup:
            part = backup.store_part(io.BytesIO(b"rows" * 1000), "rest", "data", ["public.users"])
            return backup.commit(
                started_by="ada", started_at=moment, snapshot_at=moment, server_version="15", tool_versions={},
                parts=(part,), compression="zstd-3", fingerprint=None,
            )  # fmt: skip

    return back_up


@pytest.fixture
def deleters(object_stores: ObjectStores) -> dict[str, S3Store]:
    return {
        name: S3Store.from_connection(name, f"lifeboat-{name}", connection)
        for name, connection in object_stores.expiry.items()
    }


def versions(store: S3Store, manifest: Manifest) -> list[str]:
    return [version.key.removeprefix(manifest.prefix) for version in store.versions(manifest.prefix)]


def lock(store: S3Store, key: str, until: datetime) -> None:
    store.client.put_object_retention(
        Bucket=store.bucket, Key=key, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until}
    )


def test_gone_for_good_with_every_version_and_marker(
    object_stores: ObjectStores, deleters: dict[str, S3Store], system: str, back_up: Callable[..., Manifest]
) -> None:
    store = object_stores.primary
    going, staying = back_up(store), back_up(store)
    store.delete(f"{going.prefix}manifest.json")
    store.put(f"{going.prefix}manifest.json", b"a forgery")
    removed = Catalog(store).remove(going, why=WHY, by="retention", deleter=deleters["primary"])
    assert removed.outcome is Outcome.REMOVED
    assert versions(store, going) == []
    catalog = Catalog(store)
    assert [row.manifest.id for row in catalog.backups(system)] == [staying.id]
    catalog.rebuild_index()
    assert [row.manifest.id for row in catalog.backups(system)] == [staying.id]
    assert was_removed(store, going)


def test_expiry_can_delete_and_nothing_else(
    object_stores: ObjectStores, deleters: dict[str, S3Store], back_up: Callable[..., Manifest]
) -> None:
    manifest = back_up(object_stores.primary)
    key = f"{manifest.prefix}manifest.json"
    for attempt in (
        lambda: deleters["primary"].get(key),
        lambda: deleters["primary"].put(f"{manifest.prefix}parts/x", b"x"),
        lambda: list(deleters["primary"].list(manifest.prefix)),
    ):
        with pytest.raises(StoreError, match="AccessDenied|refused"):
            attempt()


def test_a_locked_backup_waits_whole_and_goes_when_its_lock_ends(
    object_stores: ObjectStores, system: str, back_up: Callable[..., Manifest]
) -> None:
    store = object_stores.primary
    manifest = back_up(store)
    before = versions(store, manifest)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
    lock(store, f"{manifest.prefix}manifest.json", until)
    catalog = Catalog(store)
    removed = catalog.remove(manifest, why=WHY, by="retention")
    assert (removed.outcome, removed.until) == (Outcome.LOCKED, until)
    assert versions(store, manifest) == before
    assert Catalog(store).newest(system, "main-db").manifest == manifest
    assert catalog.going(f"{system}/")[manifest.prefix].locked_until == until
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 1)
    assert catalog.remove(manifest, why=WHY, by="retention").outcome is Outcome.REMOVED
    assert versions(store, manifest) == []
    assert catalog.going(f"{system}/") == {}


def test_locked_leftovers_wait_and_are_resumed(
    object_stores: ObjectStores, system: str, back_up: Callable[..., Manifest]
) -> None:
    store = object_stores.primary
    manifest = back_up(store)
    catalog = Catalog(store)
    now = datetime.now(UTC)
    catalog.append_proof(
        manifest, Proof(level=ProofLevel.STORED, ok=True, at=now, by="ada", store="primary", detail="read")
    )
    (proof,) = [info.key for info in store.list(f"{manifest.prefix}proofs/")]
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
    lock(store, proof, until)
    assert catalog.remove(manifest, why=WHY, by="retention").outcome is Outcome.LEFTOVERS
    assert len(versions(store, manifest)) == 1
    assert catalog.backups(system) == []
    (mark,) = catalog.going(f"{system}/").values()
    assert mark.locked_until == until
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 1)
    resumed = catalog.remover().resume(manifest.prefix, mark)
    assert resumed is not None
    assert resumed.outcome is Outcome.REMOVED
    assert versions(store, manifest) == []


@pytest.mark.demand("L8")
def test_a_legal_hold_has_no_end(object_stores: ObjectStores, back_up: Callable[..., Manifest]) -> None:
    store = object_stores.primary
    manifest = back_up(store)
    key = f"{manifest.prefix}manifest.json"
    store.client.put_object_legal_hold(Bucket=store.bucket, Key=key, LegalHold={"Status": "ON"})
    removed = Catalog(store).remove(manifest, why=WHY, by="retention")
    assert (removed.outcome, removed.until) == (Outcome.LOCKED, NO_END)
    store.client.put_object_legal_hold(Bucket=store.bucket, Key=key, LegalHold={"Status": "OFF"})
    assert Catalog(store).remove(manifest, why=WHY, by="retention").gone


def test_the_offsite_writer_cannot_delete_and_expiry_can(
    object_stores: ObjectStores, deleters: dict[str, S3Store], system: str, back_up: Callable[..., Manifest]
) -> None:
    """Objects whose own retention is shorter than the bucket's, so that the test does not take a day."""
    primary, offsite = object_stores.primary, object_stores.offsite
    manifest = back_up(primary)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    for info in list(primary.list(manifest.prefix)):
        offsite.client.put_object(
            Bucket=offsite.bucket, Key=info.key, Body=primary.get(info.key)[0], ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=until,
        )  # fmt: skip
    catalog = Catalog(offsite)
    catalog.rebuild_index()
    assert catalog.remove(manifest, why=WHY, by="eve", deleter=deleters["offsite"]).outcome is Outcome.LOCKED
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 1)
    with pytest.raises(ObjectLocked, match="may not be deleted"):
        catalog.remove(manifest, why=WHY, by="eve")
    assert not was_removed(offsite, manifest)
    assert [row.manifest.id for row in catalog.backups(system)] == [manifest.id]
    assert catalog.remove(manifest, why=WHY, by="retention", deleter=deleters["offsite"]).outcome is Outcome.REMOVED
    assert versions(offsite, manifest) == []
    assert was_removed(offsite, manifest)


@pytest.fixture
def workspace(object_stores: ObjectStores, kms: Kms, system: str, tmp_path: Path) -> Workspace:
    """Labdojo's policy for a system of this test's own, on both real stores."""
    folder = tmp_path / "policies"
    folder.mkdir()
    text = (ROOT / "include" / "policies" / "labdojo.yaml").read_text(encoding="utf-8")
    (folder / f"{system}.yaml").write_text(text.replace("system: labdojo", f"system: {system}"), encoding="utf-8")
    shutil.copy(ROOT / "include" / "policies" / "platform.yaml", folder)
    known = {
        **{f"lifeboat_{name}": connection for name, connection in object_stores.connections.items()},
        **{f"lifeboat_{name}_expiry": connection for name, connection in object_stores.expiry.items()},
        "lifeboat_kms": kms.connection,
    }
    found = load_folder(folder)
    assert found.problems == ()
    return Workspace(found, known.__getitem__)


def test_a_run_on_both_stores(
    workspace: Workspace, object_stores: ObjectStores, system: str, back_up: Callable[..., Manifest]
) -> None:
    """Primary lets go what the policy does not want; offsite's lock makes the same backups wait, whole, with a date."""
    now = datetime.now(UTC)
    policy = workspace.system(system)
    run = RunInfo(run_id="retention-1", started_by="a test")
    for store in (object_stores.primary, object_stores.offsite):
        for week in range(40, -1, -8):
            back_up(store, now - timedelta(weeks=week, hours=1))
    keep = policy.model_copy(
        update={"tiers": tuple(tier.model_copy(update={"keep": type(tier.keep)(newest=2)}) for tier in policy.tiers)}
    )
    tier = keep.tiers[0].model_copy(update={"name": "weekly-full"})
    keep = keep.model_copy(update={"tiers": (tier, *keep.tiers[1:])})
    outcomes: dict[str, Any] = {}
    for store in ("primary", "offsite"):
        record = carry_out(workspace, keep, "main-db", store, run=run)
        require_done([record], "retention")
        outcomes[store] = [done.outcome for done in record.done]
        assert record.kept == 2
        again = carry_out(workspace, keep, "main-db", store, run=run)
        assert again.failures == ()
    assert outcomes == {"primary": ["removed"] * 4, "offsite": ["locked"] * 4}
    assert len(workspace.catalog("primary").backups(system)) == 2
    assert len(workspace.catalog("offsite").backups(system)) == 6
    waiting = workspace.catalog("offsite").going(f"{system}/")
    assert {mark.whole for mark in waiting.values()} == {True}
    assert all(mark.locked_until and mark.locked_until > now for mark in waiting.values())
    assert len(look(workspace, keep, "main-db", "primary", datetime.now(UTC)).plan.expired) == 0
    left = json.dumps([done.detail for done in record.done])
    assert "waits until" in left
