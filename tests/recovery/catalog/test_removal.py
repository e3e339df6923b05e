"""A backup that is removed is unlisted first and then gone; whatever comes between, nothing half-gone looks whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog import in_use
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.model import Manifest, Proof, ProofLevel
from include.recovery.catalog.removal import NO_END, Outcome, Removed
from include.recovery.catalog.removed import announced, was_removed
from include.recovery.errors import BackupNotFound, ObjectLocked, StoreUnavailable, ToolFailed
from include.recovery.stores.folder import FolderStore

WHY = "no line of daily wants it (newest 7)"


def keys(store: FolderStore, manifest: Manifest) -> list[str]:
    return [info.key for info in store.list(manifest.prefix)]


def ids(catalog: Catalog) -> list[str]:
    return [row.manifest.id for row in catalog.backups()]


class Spy(FolderStore):
    """Records and hinders deletions."""

    def __init__(self, store: FolderStore, fail_at: str = "", error: type[Exception] = StoreUnavailable) -> None:
        super().__init__(store.name, store._root)
        self.deleted: list[str] = []
        self.fail_at, self.error = fail_at, error

    def delete(self, key: str, version: str | None = None) -> None:
        if self.fail_at and self.fail_at in key:
            raise self.error(f"{key} cannot be deleted now")
        self.deleted.append(key)
        super().delete(key, version)


def test_manifest_first_then_the_rest_and_a_record_stays(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore
) -> None:
    going, staying = back_up(), back_up()
    deleter = Spy(store)
    removed = catalog.remove(going, why=WHY, by="retention 7", deleter=deleter)
    assert removed.outcome is Outcome.REMOVED
    assert removed.bytes > 0
    assert deleter.deleted[0] == f"{going.prefix}manifest.json"
    assert len(deleter.deleted) == 3
    assert keys(store, going) == []
    assert ids(catalog) == ids(Catalog(store)) == [staying.id]
    record = announced(store, going, datetime.now().astimezone())
    assert record is not None
    assert (record.backup, record.why, record.by) == (going.summary(), WHY, "retention 7")
    assert was_removed(store, going)
    assert not was_removed(store, staying)
    with pytest.raises(BackupNotFound):
        catalog.backup("labdojo", "main-db", "postgres", going.id)
    catalog.rebuild_index()
    assert ids(catalog) == [staying.id]


def test_a_row_of_the_listing_can_be_removed_too(back_up: Callable[..., Manifest], catalog: Catalog) -> None:
    back_up()
    assert catalog.remove(catalog.backups()[0].manifest, why=WHY, by="ada").gone
    assert catalog.backups() == []


@pytest.mark.parametrize("fail_at", ["/parts/", "/keys/"])
def test_a_removal_that_dies_in_the_middle_is_resumed(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore, fail_at: str
) -> None:
    manifest = back_up()
    with pytest.raises(StoreUnavailable):
        catalog.remove(manifest, why=WHY, by="run 1", deleter=Spy(store, fail_at))
    later = Catalog(store, now=catalog._now)
    assert later.backups() == []
    later.rebuild_index()
    assert later.backups() == []
    (mark,) = later.going("labdojo/").values()
    assert (mark.whole, mark.why) == (False, WHY)
    assert later.going("aiaas/") == {}
    assert keys(store, manifest)
    resumed = later.remover().resume(manifest.prefix, mark)
    assert resumed is not None
    assert resumed.outcome is Outcome.REMOVED
    assert keys(store, manifest) == []
    assert later.going() == {}


def test_one_that_died_before_its_manifest_is_up_for_a_new_decision(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore
) -> None:
    manifest = back_up()
    with pytest.raises(StoreUnavailable):
        catalog.remove(manifest, why=WHY, by="run 1", deleter=Spy(store, "manifest.json"))
    assert catalog.backups() == []
    with pytest.raises(BackupNotFound, match="is being removed by run 1"), in_use.in_use(store, manifest, "a drill"):
        pass
    (mark,) = catalog.going().values()
    assert catalog.remover().resume(manifest.prefix, mark) is None
    assert ids(catalog) == [manifest.id]
    assert catalog.going() == {}
    assert not was_removed(store, manifest)
    with in_use.in_use(store, manifest, "a drill"):
        assert catalog.remove(manifest, why=WHY, by="run 2").sentence == "stays for now, it is being read by a drill"


def test_nothing_is_deleted_without_a_record(
    back_up: Callable[..., Manifest], begin: Callable[..., Any], catalog: Catalog, store: FolderStore
) -> None:
    """An index that says nonsense about a backup that is being written costs nothing."""
    manifest = back_up()
    catalog.remove(manifest, why=WHY, by="run 1")
    store.put(f"{manifest.prefix}parts/table-0001.0001", b"something new")
    for info in list(store.list("labdojo/main-db/postgres/removed/")):
        store.delete(info.key)
    mark = Removed(Outcome.LEFTOVERS)
    assert mark.gone
    from include.recovery.catalog.index import Going

    assert catalog.remover().resume(manifest.prefix, Going(since=catalog._now(), why=WHY, whole=False)) is None
    assert keys(store, manifest) == [f"{manifest.prefix}parts/table-0001.0001"]


def test_one_that_is_being_read_stays(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore, clock: Any
) -> None:
    manifest = back_up()
    in_use.mark(store, manifest, "drill 7", now=clock)
    removed = catalog.remove(manifest, why=WHY, by="retention")
    assert (removed.outcome, removed.detail) == (Outcome.IN_USE, "drill 7")
    assert ids(catalog) == [manifest.id]
    assert not was_removed(store, manifest)
    clock.pass_by(hours=13)
    assert catalog.remove(manifest, why=WHY, by="retention").gone


class Locked(FolderStore):
    """A folder that keeps some objects, as object lock does."""

    kept = ""
    until: datetime | None = None

    def delete(self, key: str, version: str | None = None) -> None:
        if self.kept and self.kept in key:
            raise ObjectLocked(f"{key} may not be deleted")
        super().delete(key, version)

    def locked_until(self, key: str, version: str) -> datetime | None:
        return self.until if self.kept and self.kept in key else None


@pytest.fixture
def store(tmp_path: Path) -> Locked:
    return Locked("offsite", tmp_path / "offsite")


def test_a_locked_backup_stays_whole_listed_and_marked(
    back_up: Callable[..., Manifest], catalog: Catalog, store: Locked, clock: Any
) -> None:
    manifest = back_up()
    before = keys(store, manifest)
    store.kept, store.until = "manifest.json", clock() + timedelta(days=3)
    removed = catalog.remove(manifest, why=WHY, by="retention")
    assert removed.sentence == f"waits until {store.until:%Y-%m-%d %H:%M %Z}"
    assert keys(store, manifest) == before
    assert ids(catalog) == [manifest.id]
    mark = catalog.going()[manifest.prefix]
    assert (mark.whole, mark.locked_until) == (True, store.until)
    catalog.rebuild_index()
    assert catalog.going() == {manifest.prefix: mark}
    with in_use.in_use(store, manifest, "a restore", now=clock):
        assert catalog.newest("labdojo", "main-db").manifest == manifest
    store.kept = ""
    assert catalog.remove(manifest, why=WHY, by="retention").outcome is Outcome.REMOVED
    assert catalog.going() == {}


def test_a_legal_hold_has_no_end(back_up: Callable[..., Manifest], catalog: Catalog, store: Locked) -> None:
    manifest = back_up()
    store.kept, store.until = "manifest.json", NO_END
    assert catalog.remove(manifest, why=WHY, by="retention").sentence == "waits until its legal hold is lifted"


def test_leftovers_wait_for_their_date(
    back_up: Callable[..., Manifest], catalog: Catalog, store: Locked, clock: Any
) -> None:
    manifest = back_up()
    now = clock()
    catalog.append_proof(
        manifest, Proof(level=ProofLevel.STORED, ok=True, at=now, by="ada", store="offsite", detail="read")
    )
    store.kept, store.until = "/proofs/", now + timedelta(days=3)
    removed = catalog.remove(manifest, why=WHY, by="retention")
    assert removed.outcome is Outcome.LEFTOVERS
    assert "bytes of it wait until 2026-11-24" in removed.sentence
    assert catalog.backups() == []
    (mark,) = catalog.going().values()
    assert catalog.remover().resume(manifest.prefix, mark) is None
    clock.pass_by(days=4)
    store.kept = ""
    resumed = catalog.remover().resume(manifest.prefix, mark)
    assert resumed is not None
    assert resumed.outcome is Outcome.REMOVED
    assert keys(store, manifest) == []


def test_a_missing_right_is_an_error_and_leaves_everything_as_it_was(
    back_up: Callable[..., Manifest], catalog: Catalog, store: Locked
) -> None:
    manifest = back_up()
    store.kept, store.until = "manifest.json", None
    with pytest.raises(ObjectLocked):
        catalog.remove(manifest, why=WHY, by="retention")
    assert ids(catalog) == [manifest.id]
    assert catalog.going() == {}
    assert not was_removed(store, manifest)


def test_a_late_proof_does_not_bring_a_removed_backup_back(
    back_up: Callable[..., Manifest], catalog: Catalog, store: Locked, clock: Any
) -> None:
    manifest = back_up()
    proof = Proof(level=ProofLevel.IDENTICAL, ok=True, at=clock(), by="a drill", store="offsite", detail="equal")
    drill = Catalog(store, now=clock)
    assert ids(drill) == [manifest.id]
    put = store.put

    def put_late(key: str, data: bytes, *, if_absent: bool = False) -> str:
        if "/proofs/" in key:
            catalog.remove(manifest, why=WHY, by="retention")
        return put(key, data, if_absent=if_absent)

    store.put = put_late  # type: ignore[method-assign]
    drill.append_proof(manifest, proof)
    assert ids(drill) == ids(catalog) == []


def test_what_is_elsewhere_goes_first_and_its_failure_changes_nothing(
    back_up: Callable[..., Manifest], catalog: Catalog, store: Locked
) -> None:
    manifest = back_up()
    before = keys(store, manifest)

    def fail() -> None:
        raise ToolFailed("pgbackrest", 50, "unable to acquire lock")

    with pytest.raises(ToolFailed, match="unable to acquire lock"):
        catalog.remove(manifest, why=WHY, by="retention", first=fail)
    assert (ids(catalog), keys(store, manifest), catalog.going()) == ([manifest.id], before, {})
    assert not was_removed(store, manifest)
    seen: list[tuple[list[str], list[str]]] = []
    removed = catalog.remove(
        manifest, why=WHY, by="retention", first=lambda: seen.append((ids(catalog), keys(store, manifest)))
    )
    assert seen == [([], before)]
    assert removed.outcome is Outcome.REMOVED
