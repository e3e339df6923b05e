"""Markers of readers: they run out, are renewed, go away, and never stand in a restore's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from include.recovery.catalog import in_use
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import utc_now
from include.recovery.catalog.model import Manifest
from include.recovery.catalog.removed import removal_folder
from include.recovery.errors import BackupNotFound, StoreUnavailable
from include.recovery.stores.folder import FolderStore

PLACE = ("labdojo", "main-db", "postgres")


def test_a_marker_lives_as_long_as_its_block(
    back_up: Callable[..., Manifest], store: FolderStore, clock: Any
) -> None:
    first, second = back_up(), back_up()
    with in_use.in_use(store, first, "drill 7", now=clock), in_use.in_use(store, first, "restore 8", now=clock):
        found = in_use.readers(store, *PLACE, clock())
        assert set(found) == {first.id}
        assert in_use.readers(store, "labdojo", "other", "postgres", clock()) == {}
    assert in_use.readers(store, *PLACE, clock()) == {}
    with pytest.raises(RuntimeError), in_use.in_use(store, second, "drill 9", now=clock):
        raise RuntimeError
    assert [info.key for info in store.list("labdojo/main-db/postgres/in-use/")] == []


def test_it_is_renewed_and_a_dead_readers_runs_out(back_up: Callable[..., Manifest], store: FolderStore) -> None:
    manifest = back_up()
    with in_use.in_use(store, manifest, "drill 7", ttl=timedelta(seconds=0.4)):
        time.sleep(0.6)
        assert in_use.readers(store, *PLACE, utc_now())[manifest.id].by == "drill 7"
        assert in_use.readers(store, *PLACE, utc_now() + timedelta(seconds=0.5)) == {}


def test_old_markers_are_cleared(back_up: Callable[..., Manifest], store: FolderStore) -> None:
    manifest = back_up()
    in_use.mark(store, manifest, "drill 7")
    in_use.clear(store, *PLACE, utc_now() + timedelta(hours=13))
    assert len(list(store.list("labdojo/main-db/postgres/in-use/"))) == 1
    in_use.clear(store, *PLACE, utc_now() + timedelta(days=2))
    assert list(store.list("labdojo/main-db/postgres/in-use/")) == []


def test_one_that_cannot_be_read_counts_for_a_day(back_up: Callable[..., Manifest], store: FolderStore) -> None:
    manifest = back_up()
    store.put(f"labdojo/main-db/postgres/in-use/{manifest.id}/0000", b"\0")
    assert "cannot be read" in in_use.readers(store, *PLACE, utc_now())[manifest.id].by
    assert in_use.readers(store, *PLACE, utc_now() + timedelta(days=2)) == {}


def test_a_store_that_takes_no_writes_still_gives_its_backups_back(
    back_up: Callable[..., Manifest], store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = back_up()

    def refuse(*_: Any, **__: Any) -> str:
        raise StoreUnavailable("read only")

    monkeypatch.setattr(store, "put", refuse)
    with in_use.in_use(store, manifest, "a restore"):
        assert in_use.readers(store, *PLACE, utc_now()) == {}


def test_reader_and_remover_never_miss_each_other(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    """The reader comes between any two steps of the remover: one of them at least gives way, every time."""
    steps = ["removed/", "in-use/", "_catalog/", "manifest.json"]
    for step in steps:
        manifest = back_up()
        outcome: list[str] = []

        def come(manifest: Manifest = manifest, outcome: list[str] = outcome) -> None:
            outcome.append("came")
            try:
                in_use.mark(store, manifest, "a restore", now=clock)
                outcome.append("reads")
            except BackupNotFound:
                outcome.append("gave way")

        def before(original: Any, step: str = step, come: Any = come, outcome: list[str] = outcome) -> Any:
            def wrapped(self: FolderStore, key: str, *rest: Any, **options: Any) -> Any:
                if step in key and not outcome:
                    come()
                return original(self, key, *rest, **options)

            return wrapped

        with monkeypatch.context() as patch:
            for operation in ("put", "list", "delete"):
                patch.setattr(FolderStore, operation, before(getattr(FolderStore, operation)))
            removed = catalog.remove(manifest, why="old", by="retention")
        assert outcome[0] == "came", step
        assert not (removed.gone and outcome[1] == "reads"), step
        assert bool(list(store.list(removal_folder(manifest)))) is removed.gone
        assert bool(in_use.readers(store, *PLACE, clock()).get(manifest.id)) is (outcome[1] == "reads")
