"""A folder keeps the port's promises: first writer wins, nothing half-written is visible, no key leaves the folder."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.recovery.errors import ObjectMissing, PreconditionFailed, StoreError
from include.recovery.stores.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore("local", tmp_path / "store")


def test_keeps_what_is_put(store: FolderStore) -> None:
    etag = store.put("a/b", b"one")
    assert store.get("a/b") == (b"one", etag)
    assert store.head("a/b").size == 3
    assert store.put("a/b", b"two") != etag
    with store.open("a/b") as stream:
        assert stream.read() == b"two"


def test_lists_in_key_order_and_only_below_the_prefix(store: FolderStore) -> None:
    for key in ("b/2", "b/10", "a", "b-x", "c"):
        store.put(key, b"")
    assert [info.key for info in store.list("")] == ["a", "b-x", "b/10", "b/2", "c"]
    assert [info.key for info in store.list("b/1")] == ["b/10"]
    assert [version.key for version in store.versions("b")] == ["b-x", "b/10", "b/2"]


def test_exactly_one_of_many_first_writers_wins(store: FolderStore) -> None:
    outcomes: list[bytes | None] = []
    together = threading.Barrier(8)

    def write(who: bytes) -> None:
        together.wait()
        try:
            store.put("once", who, if_absent=True)
        except PreconditionFailed:
            outcomes.append(None)
        else:
            outcomes.append(who)

    threads = [threading.Thread(target=write, args=(bytes([n]),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [who for who in outcomes if who] == [store.get("once")[0]]


def test_shows_nothing_before_commit_and_nothing_after_abort(store: FolderStore) -> None:
    with store.writer("big") as writer:
        writer.write(b"half")
        assert list(store.list("")) == []
        assert [upload.key for upload in store.unfinished("")] == ["big"]
    assert list(store.unfinished("")) == []
    with pytest.raises(ObjectMissing, match="big"):
        store.head("big")


def test_finds_and_abandons_what_a_killed_writer_left(store: FolderStore) -> None:
    killed = store.writer("dead")
    killed.write(b"half")
    (upload,) = store.unfinished("de")
    assert datetime.now(UTC) - upload.started < timedelta(minutes=1)
    store.abandon(upload)
    assert list(store.unfinished("")) == []
    killed.abort()


def test_deletes_for_good_and_twice_without_complaint(store: FolderStore, tmp_path: Path) -> None:
    store.put("a/b/c", b"x")
    (version,) = store.versions("a")
    store.delete("a/b/c", version.id)
    store.delete("a/b/c")
    assert not (tmp_path / "store" / "a").exists()


@pytest.mark.parametrize("key", ["", "../out", "a/../b", "/abs", "a//b", ".unfinished/x"])
def test_no_key_leaves_the_folder(store: FolderStore, key: str) -> None:
    with pytest.raises(StoreError, match="no object key"):
        store.put(key, b"")


def test_has_no_other_versions(store: FolderStore) -> None:
    store.put("a", b"x")
    with pytest.raises(ObjectMissing, match="only the newest"):
        store.open("a", "17")
