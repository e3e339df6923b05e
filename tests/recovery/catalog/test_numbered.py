"""Whoever writes the next number first wins."""

from __future__ import annotations

import threading

import pytest

from include.recovery.catalog.numbered import Numbered
from include.recovery.errors import PreconditionFailed
from include.recovery.stores.folder import FolderStore


def test_the_highest_number_counts(store: FolderStore) -> None:
    row = Numbered(store, "row/")
    assert row.newest() is None
    for number in (1, 2, 10, 9):
        row.write(number, str(number).encode())
    newest = row.newest()
    assert newest is not None
    assert (newest.number, row.read(newest)) == (10, b"10")


def test_a_number_is_written_once(store: FolderStore) -> None:
    row = Numbered(store, "row/")
    row.write(1, b"first")
    with pytest.raises(PreconditionFailed):
        row.write(1, b"second")


def test_pruning_leaves_the_newest_and_strangers(store: FolderStore) -> None:
    row = Numbered(store, "row/")
    store.put("row/README", b"not a number")
    for number in range(1, 6):
        row.write(number, b"")
    row.prune(below=4)
    assert [info.key for info in store.list("row/")] == [row.key(5), row.key(4), "row/README"]


def test_many_writers_count_without_a_gap(store: FolderStore) -> None:
    row = Numbered(store, "row/")

    def add_ten() -> None:
        for _ in range(10):
            while True:
                newest = row.newest()
                try:
                    row.write(1 if newest is None else newest.number + 1, b"")
                except PreconditionFailed:
                    continue
                break

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = row.newest()
    assert newest is not None
    assert newest.number == 40
