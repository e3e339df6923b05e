"""The catalog on real versioned buckets: leases, delete markers, object lock, two regions, killed runs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest, Proof, ProofLevel
from include.recovery.errors import BackupNotFound, LeaseHeld, PartMissing
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.kms import KmsWrapper
from include.recovery.parts.read import open_part
from include.recovery.replication import replicate
from include.recovery.stores.s3 import S3Store

if TYPE_CHECKING:
    from tests.fixtures.servers import Kms, ObjectStores

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
CONTENT = os.urandom(20_000_000)


@pytest.fixture
def system() -> str:
    """A system of this test's own."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def keyring(kms: Kms) -> Keyring:
    return Keyring([KmsWrapper.from_connection(kms.connection, kms.alias)])


@pytest.fixture
def back_up(system: str, keyring: Keyring) -> Callable[..., Manifest]:
    def back_up(store: S3Store, content: bytes = CONTENT, run: str = "run-1") -> Manifest:
        now = datetime.now(UTC)
        owner = Owner.of_this_process(run)
        with Catalog(store).begin(system, "main-db", "postgres", tier="hourly", owner=owner, keyring=keyring) as backup:
            part = backup.store_part(io.BytesIO(content), "table-0001", "data", ["public.users"])
            return backup.commit(
                started_by="ada",
                started_at=now,
                snapshot_at=now,
                server_version="15",
                tool_versions={},
                parts=(part,),
                compression="zstd-3",
                fingerprint=None,
            )

    return back_up


def content(store: S3Store, manifest: Manifest, keyring: Keyring) -> bytes:
    key = Catalog(store).key(manifest, keyring)
    with open_part(store, manifest.parts[0], key, manifest.context) as stream:
        return stream.read()


@pytest.mark.demand("L8", "R13")
def test_two_regions_and_a_plain_delete(
    object_stores: ObjectStores, system: str, back_up: Callable[..., Manifest], keyring: Keyring
) -> None:
    primary, offsite = object_stores.primary, object_stores.offsite
    manifest = back_up(primary)
    proof = replicate(manifest, primary, offsite, by="run-1")
    assert (proof.ok, proof.store) == (True, "offsite")

    for info in list(offsite.list(manifest.prefix)):
        offsite.delete(info.key)
    assert list(offsite.list(manifest.prefix)) == []
    far = Catalog(offsite)
    far.rebuild_index()
    backup = far.newest(system, "main-db")
    assert backup.manifest == manifest
    assert backup.level is ProofLevel.REPLICATED
    assert content(offsite, manifest, keyring) == CONTENT
    assert far.sweep(timedelta(0), datetime.now(UTC) + timedelta(days=2), system=system) == []
    assert "1 copied by this run" in replicate(manifest, primary, offsite, by="run-2").detail
    assert "0 copied by this run" in replicate(manifest, primary, offsite, by="run-3").detail


def test_an_index_that_many_runs_write_at_once(
    object_stores: ObjectStores, system: str, back_up: Callable[..., Manifest]
) -> None:
    store = object_stores.primary
    manifest = back_up(store, b"rows")
    errors: list[BaseException] = []

    def prove(number: int) -> None:
        now = datetime.now(UTC)
        proof = Proof(level=ProofLevel.RESTORED, ok=True, at=now, by=f"run-{number}", store="primary", detail="ok")
        try:
            Catalog(store).append_proof(manifest, proof)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=prove, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    (row,) = Catalog(store).backups(system)
    assert sorted(proof.by for proof in row.proofs) == [f"run-{n}" for n in range(6)]


def test_only_one_of_two_runs_gets_the_lease(object_stores: ObjectStores, system: str, keyring: Keyring) -> None:
    outcomes: list[Any] = []
    together = threading.Barrier(4)

    def begin(run: str) -> None:
        together.wait()
        try:
            owner = Owner.of_this_process(run)
            outcomes.append(
                Catalog(object_stores.primary).begin(system, "main-db", "postgres", owner=owner, keyring=keyring)
            )
        except LeaseHeld as error:
            outcomes.append(error)

    threads = [threading.Thread(target=begin, args=(f"run-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = [each for each in outcomes if not isinstance(each, LeaseHeld)]
    assert len(begun) == 1
    begun[0].abort()


WRITER = """
import json, os, sys, time
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.connections import ConnectionInfo
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.kms import KmsWrapper
from include.recovery.stores.s3 import S3Store

store, kms, bucket, system = (json.loads(word) for word in sys.argv[1:])
keyring = Keyring([KmsWrapper.from_connection(ConnectionInfo("kms", **kms), "alias/lifeboat")])
catalog = Catalog(S3Store.from_connection("primary", bucket, ConnectionInfo("primary", **store)))
owner = Owner.of_this_process("run-1")
backup = catalog.begin(system, "main-db", "postgres", tier="hourly", owner=owner, keyring=keyring)

class Slow:
    sent = 0
    def readinto(self, buffer):
        self.sent += len(buffer)
        if self.sent > 40_000_000:
            print(backup.prefix, flush=True)
            time.sleep(60)
        buffer[:] = os.urandom(len(buffer))
        return len(buffer)

backup.store_part(Slow(), "table-0001", "data")
"""


def start_writer(object_stores: ObjectStores, kms: Kms, system: str) -> tuple[subprocess.Popen[str], str]:
    def words(connection: Any) -> str:
        return json.dumps({"login": connection.login, "password": connection.password, "extra": dict(connection.extra)})

    connections = [words(object_stores.connections["primary"]), words(kms.connection)]
    argv = [sys.executable, "-c", WRITER, *connections, json.dumps(object_stores.primary.bucket), json.dumps(system)]
    process = subprocess.Popen(
        argv, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_killed_run_leaves_debris_that_its_retry_and_the_sweep_get_over(
    object_stores: ObjectStores, kms: Kms, system: str, keyring: Keyring, back_up: Callable[..., Manifest]
) -> None:
    store = object_stores.primary
    process, prefix = start_writer(object_stores, kms, system)
    assert prefix.startswith(f"{system}/main-db/postgres/")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    catalog = Catalog(store)
    assert catalog.backups(system) == []
    assert [upload.key for upload in store.unfinished(prefix)] == [f"{prefix}parts/table-0001.0001"]

    with pytest.raises(LeaseHeld):
        back_up(store, run="run-2")
    owner = Owner.of_this_process("run-1", try_number=2)
    with catalog.begin(system, "main-db", "postgres", tier="hourly", owner=owner, keyring=keyring) as retry:
        assert retry.lease.fence == 2

    assert catalog.sweep(timedelta(hours=6), system=system) == [], "within the grace nothing is swept"
    removed = catalog.sweep(timedelta(hours=6), datetime.now(UTC) + timedelta(hours=7), system=system)
    assert removed == [prefix]
    assert list(store.unfinished(prefix)) == []
    assert list(store.versions(prefix)) == []


def test_locked_debris_waits_and_is_marked(object_stores: ObjectStores, system: str) -> None:
    store = object_stores.offsite
    prefix = f"{system}/main-db/postgres/20261101T000000Z-0a1b/"
    store.put(f"{prefix}parts/table-0001.0001", b"half")
    catalog = Catalog(store)
    now = datetime.now(UTC) + timedelta(hours=7)
    assert catalog.sweep(timedelta(hours=6), now, system=system) == []
    mark = catalog.debris()[prefix]
    assert mark.size == 4
    assert mark.locked_until is not None
    assert timedelta(hours=23) < mark.locked_until - datetime.now(UTC) < timedelta(hours=25)


def test_a_part_that_is_really_gone(
    object_stores: ObjectStores, back_up: Callable[..., Manifest], keyring: Keyring
) -> None:
    store = object_stores.primary
    manifest = back_up(store, b"rows")
    key = manifest.parts[0].volumes[0].key
    store.delete(key)
    assert content(store, manifest, keyring) == b"rows"
    for version in list(store.versions(key)):
        store.delete(version.key, version.id)
    with pytest.raises(PartMissing, match=f"backup {manifest.name} in store primary: part table-0001, volume 1 of 1"):
        content(store, manifest, keyring)


def test_a_backup_that_was_removed_for_good_is_gone(
    object_stores: ObjectStores, system: str, back_up: Callable[..., Manifest]
) -> None:
    store = object_stores.primary
    manifest = back_up(store, b"rows")
    for version in list(store.versions(manifest.prefix)):
        store.delete(version.key, version.id)
    catalog = Catalog(store)
    catalog.rebuild_index()
    assert catalog.backups(system) == []
    with pytest.raises(BackupNotFound):
        catalog.backup(system, "main-db", "postgres", manifest.id)
