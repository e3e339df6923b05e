"""The index is a cache that any order of writers leaves the same, and that comes back when it is lost."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.index import Entry, Index, IndexObject, _packed, _unpacked
from include.recovery.catalog.layout import INDEX_PREFIX
from include.recovery.catalog.model import Manifest, Proof, ProofLevel, Summary
from include.recovery.stores.folder import FolderStore

START = datetime(2026, 11, 21, 7, tzinfo=UTC)


def entry(number: int, *proofs: Proof) -> Entry:
    summary = Summary(
        system="labdojo",
        source="main-db",
        kind="postgres",
        id=f"{START + timedelta(minutes=number):%Y%m%dT%H%M%SZ}-0a1b",
        started_by="ada",
        started_at=START,
        snapshot_at=START + timedelta(minutes=number),
        finished_at=START,
        server_version="15",
        tool_versions={},
        compression="zstd-3",
        fence=1,
        stored_size=1,
        tables=1,
    )
    return Entry(summary=summary, manifest_sha512="ab", proofs=proofs)


def proof(minute: int, ok: bool = True) -> Proof:
    at = START + timedelta(minutes=minute)
    return Proof(level=ProofLevel.IDENTICAL, ok=ok, at=at, by="drill", store="primary", detail="x")


changes = st.lists(st.tuples(st.integers(0, 4), st.lists(st.builds(proof, st.integers(0, 5), st.booleans()))))


def apply(changes: list[tuple[int, list[Proof]]]) -> Index:
    index = Index()
    for number, proofs in changes:
        row = entry(number).with_proofs(tuple(proofs))
        index = index.with_backup(row.summary.prefix, row)
    return index


@given(changes, st.randoms())
def test_any_order_of_changes_gives_the_same_index(changes: list[tuple[int, list[Proof]]], chance: object) -> None:
    shuffled = list(changes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert apply(changes) == apply(shuffled)


@given(changes, changes)
def test_merging_is_the_same_both_ways(
    one: list[tuple[int, list[Proof]]], other: list[tuple[int, list[Proof]]]
) -> None:
    both = apply(one).merged(apply(other))
    assert both == apply(other).merged(apply(one)) == apply([*one, *other])
    assert both.merged(both) == both


def test_long_lists_of_failures_stay_in_the_proof() -> None:
    long = proof(1).model_copy(update={"failures": tuple(f"table {n}" for n in range(50))})
    (kept,) = entry(1).with_proofs((long, long)).proofs
    assert kept.failures == ("table 0", "table 1", "table 2", "and 47 more")


def test_concurrent_writers_lose_nothing(store: FolderStore) -> None:
    def write(first: int) -> None:
        index = IndexObject(store, Index)
        for number in range(first, first + 5):
            row = entry(number)
            index.update(lambda old, row=row: old.with_backup(row.summary.prefix, row))  # type: ignore[misc]

    threads = [threading.Thread(target=write, args=(n * 5,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(IndexObject(store, Index).read().backups) == 30
    assert len(list(store.list(INDEX_PREFIX))) <= 5, "old numbers are pruned"


def test_a_listing_reads_two_small_objects_whatever_the_number(
    back_up: Callable[..., Manifest], store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        back_up()
    opened: list[str] = []
    real = FolderStore.open
    monkeypatch.setattr(FolderStore, "open", lambda self, key, *rest: (opened.append(key), real(self, key, *rest))[1])
    assert len(Catalog(store).backups("labdojo")) == 3
    assert len(opened) == 1


@pytest.mark.parametrize(
    "damage",
    [b"", b"nonsense", gzip.compress(b"{}x"), gzip.compress(b'{"backups": 1}'), None],
    ids=["empty", "nonsense", "no JSON", "no index", "gone"],
)
def test_a_lost_or_damaged_index_is_rebuilt(
    back_up: Callable[..., Manifest], store: FolderStore, catalog: Catalog, damage: bytes | None
) -> None:
    manifest = back_up()
    catalog.append_proof(manifest, proof(1))
    before = catalog.backups()
    for info in list(store.list(INDEX_PREFIX)):
        if damage is None:
            store.delete(info.key)
        else:
            store.put(info.key, damage)
    assert Catalog(store).backups() == before
    assert _unpacked(store.get(next(store.list(INDEX_PREFIX)).key)[0]) is not None, "and the next reader is spared"
    second = back_up()
    assert [row.manifest.id for row in Catalog(store).backups()] == [manifest.id, second.id]


def test_a_thousand_rows_are_small() -> None:
    index = apply([(n, [proof(1)]) for n in range(1000)])
    packed = _packed(index)
    assert _unpacked(packed) == index
    assert len(packed) < 100_000
