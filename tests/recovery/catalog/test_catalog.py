"""A backup from its first byte to its proofs; killed at any point it never looks like a backup."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.model import CompleteBackup, Manifest, Proof, ProofLevel, Summary
from include.recovery.errors import (
    BackupNotFound,
    KeyUnavailable,
    LeaseHeld,
    LeaseLost,
    PartMissing,
    PreconditionFailed,
    StoreUnavailable,
)
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.parts.read import open_part
from include.recovery.stores.folder import FolderStore
from tests.recovery.catalog.conftest import fields


def test_from_the_first_byte_to_the_last_proof(
    begin: Callable[..., Any], catalog: Catalog, store: FolderStore, keyring: Keyring, clock: Any
) -> None:
    with begin(tier="hourly") as backup:
        assert backup.prefix.startswith("labdojo/main-db/postgres/20261121T070000Z-")
        part = backup.store_part(io.BytesIO(b"rows"), "table-0001", "data", ["public.users"])
        assert catalog.backups() == []
        manifest = backup.commit(**fields(clock, parts=(part,), note="before the release", hold=True))
    assert (manifest.tier, manifest.fence, manifest.note, manifest.hold) == ("hourly", 1, "before the release", True)

    reader = Catalog(store, now=clock)
    (row,) = reader.backups("labdojo", "main-db", "postgres")
    assert isinstance(row.manifest, Summary)
    assert reader.backups("other") == []
    complete = reader.complete(row)
    assert isinstance(complete, CompleteBackup)
    assert complete.manifest == manifest
    key = reader.key(manifest, keyring)
    with open_part(store, manifest.parts[0], key, manifest.context) as stream:
        assert stream.read() == b"rows"

    proof = Proof(level=ProofLevel.IDENTICAL, ok=True, at=clock(), by="drill", store="primary", detail="all equal")
    kept = reader.append_proof(manifest, proof)
    assert catalog.newest("labdojo", "main-db").level is ProofLevel.IDENTICAL
    assert reader.proofs(manifest) == [kept]
    assert kept.manifest_sha512


def test_nothing_is_left_of_a_backup_that_failed(begin: Callable[..., Any], store: FolderStore) -> None:
    def fail() -> None:
        with begin() as backup:
            backup.store_part(io.BytesIO(b"rows"), "table-0001", "data")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [info.key for info in store.list("") if "/leases/" not in info.key] == []


@pytest.mark.parametrize("killed_at", ["parts", "keys"])
def test_killed_at_any_point_it_is_debris_and_no_backup(
    begin: Callable[..., Any], catalog: Catalog, store: FolderStore, clock: Any, killed_at: str
) -> None:
    backup = begin()
    part = backup.store_part(io.BytesIO(b"rows"), "table-0001", "data")
    if killed_at == "keys":

        def die() -> None:
            raise KeyboardInterrupt

        backup.lease.check_fence = die
        with pytest.raises(KeyboardInterrupt):
            backup.commit(**fields(clock, parts=(part,)))
    assert Catalog(store).backups() == []
    with pytest.raises(BackupNotFound):
        catalog.backup("labdojo", "main-db", "postgres", backup.id)
    backup.lease.release()


def test_killed_between_manifest_and_index_it_is_found_all_the_same(
    back_up: Callable[..., Manifest], store: FolderStore, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    back_up()
    real = FolderStore.put

    def failing(self: FolderStore, key: str, data: bytes, *, if_absent: bool = False) -> str:
        if key.startswith("_catalog/"):
            raise StoreUnavailable("gone")
        return real(self, key, data, if_absent=if_absent)

    monkeypatch.setattr(FolderStore, "put", failing)
    second = back_up()
    assert "the index could not be updated" in caplog.text
    monkeypatch.undo()
    fresh = Catalog(store)
    assert len(fresh.backups()) == 1
    assert fresh.backup("labdojo", "main-db", "postgres", second.id).manifest == second
    assert len(fresh.backups()) == 2, "looking it up has mended the index"


def test_two_runs_of_the_same_backup(begin: Callable[..., Any]) -> None:
    with begin(tier="hourly"):
        with pytest.raises(LeaseHeld, match=r"labdojo/main-db/postgres \(hourly\) is being written already"):
            begin("run-2", tier="hourly")
        with begin("run-2", tier="daily"), begin("run-2", tier="hourly", source="other-db"):
            pass


def test_the_earlier_try_cannot_write_or_commit_beside_the_later(
    begin: Callable[..., Any], catalog: Catalog, clock: Any
) -> None:
    old = begin(try_number=1)
    part = old.store_part(io.BytesIO(b"old"), "table-0001", "data")
    with begin(try_number=2) as new:
        with pytest.raises(LeaseLost):
            old.commit(**fields(clock, parts=(part,)))
        assert old.stop.is_set()
        with pytest.raises(LeaseLost):
            old.store_part(io.BytesIO(b"old"), "table-0002", "data")
        with pytest.raises(LeaseLost):
            old.check()
        old.abort()
        part = new.store_part(io.BytesIO(b"new"), "table-0001", "data")
        manifest = new.commit(**fields(clock, parts=(part,)))
    assert manifest.fence == 2
    assert [row.manifest.id for row in catalog.backups()] == [manifest.id]


def test_a_volume_that_the_store_lost_stops_the_commit(
    begin: Callable[..., Any], catalog: Catalog, store: FolderStore, clock: Any
) -> None:
    with begin() as backup:
        part = backup.store_part(io.BytesIO(b"rows"), "table-0001", "data")
        store.delete(part.volumes[0].key)
        with pytest.raises(PartMissing, match="the store shows none; the backup does not count"):
            backup.commit(**fields(clock, parts=(part,)))
    assert catalog.backups() == []


def test_without_a_way_to_wrap_its_key_no_backup_begins(catalog: Catalog, begin: Callable[..., Any]) -> None:
    class Down(EscrowWrapper):
        def __init__(self) -> None:
            """No key at all."""

        def wrap(self, key: bytes, context: Any) -> Any:
            raise KeyUnavailable("KMS refuses")

    from include.recovery.catalog.lease import Owner

    owner = Owner.of_this_process("run-0")
    with pytest.raises(KeyUnavailable):
        catalog.begin("labdojo", "main-db", "postgres", owner=owner, keyring=Keyring([Down()]))
    with begin():
        pass


def test_rotation_appends_a_record_and_the_newest_counts(
    back_up: Callable[..., Manifest], catalog: Catalog, keyring: Keyring, clock: Any
) -> None:
    manifest = back_up()
    old = catalog.key_record(manifest)
    key = catalog.key(manifest, keyring)
    clock.pass_by(days=90)
    rewrapped = keyring.wrap(key, manifest.context).model_copy(update={"created_at": clock()})
    catalog.append_key(manifest, rewrapped)
    assert catalog.key_record(manifest) == rewrapped != old
    assert catalog.key(manifest, keyring) == key


def test_a_backup_without_its_wrapped_key_says_so(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore, keyring: Keyring
) -> None:
    manifest = back_up()
    for info in list(store.list(f"{manifest.prefix}keys/")):
        store.delete(info.key)
    with pytest.raises(KeyUnavailable, match="has no wrapped key below keys/"):
        catalog.key(manifest, keyring)


def test_evidence_is_written_once(catalog: Catalog) -> None:
    key = catalog.put_evidence("labdojo/drills/20261121T070000Z/report.json", b"{}")
    with pytest.raises(PreconditionFailed):
        catalog.put_evidence(key, b"{...}")
    assert catalog.evidence("labdojo/drills/") == [key]
    assert catalog.get_evidence(key) == b"{}"


def test_names_that_would_break_the_layout_are_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="is no name"):
        catalog.backup("labdojo", "../other", "postgres", "x")


def test_an_unknown_backup_tells_where_to_look(catalog: Catalog) -> None:
    with pytest.raises(BackupNotFound, match="lifeboat list labdojo"):
        catalog.backup("labdojo", "main-db", "postgres", "20261121T070000Z-ffff")
    with pytest.raises(BackupNotFound, match="labdojo/main-db has no backups"):
        catalog.newest("labdojo", "main-db")
