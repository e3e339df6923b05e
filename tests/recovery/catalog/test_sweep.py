"""The sweep removes debris, all of it, and nothing else."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Lease, Owner
from include.recovery.catalog.model import Manifest
from include.recovery.catalog.sweep import sweep
from include.recovery.errors import ObjectLocked
from include.recovery.stores.folder import FolderStore

GRACE = timedelta(hours=6)
NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)

group = st.fixed_dictionaries(
    {
        "manifest": st.booleans(),
        "live": st.booleans(),
        "ages": st.lists(st.integers(0, 12 * 60), min_size=1, max_size=4),
    }
)


def put(store: FolderStore, key: str, minutes_ago: float) -> None:
    path = store._path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    at = (NOW - timedelta(minutes=minutes_ago)).timestamp()
    os.utime(path, (at, at))


@settings(max_examples=30)
@given(st.lists(group, max_size=5))
def test_exactly_what_is_old_unfinished_and_unleased(groups: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore("primary", folder)
        put(store, "labdojo/drills/20260101T000000Z-0000/report.json", 10**6)
        put(store, "_catalog/index/1", 10**6)
        expected, leases = [], []
        for number, each in enumerate(groups):
            place = f"labdojo/db-{number}/postgres/"
            prefix = f"{place}20261101T0000{number:02d}Z-0a1b/"
            for n, age in enumerate(each["ages"]):
                put(store, f"{prefix}parts/p.{n:04d}", age)
            if each["manifest"]:
                put(store, f"{prefix}manifest.json", 10**6)
            if each["live"]:
                owner = Owner.of_this_process("run")
                leases.append(Lease.acquire(store, f"{place}leases/t/", owner, writing=prefix, now=lambda: NOW))
            if not each["manifest"] and not each["live"] and min(each["ages"]) > GRACE.total_seconds() / 60:
                expected.append(prefix)
        before = {info.key for info in store.list("") if "/leases/" not in info.key}
        swept = sweep(store, GRACE, NOW)
        assert sweep(store, GRACE, NOW).removed == []
        for lease in leases:
            lease.release()
        after = {info.key for info in store.list("") if "/leases/" not in info.key}
        assert swept.removed == expected
        assert after == {key for key in before if not key.startswith(tuple(expected))}


def test_unfinished_uploads_go_too(store: FolderStore) -> None:
    writer = store.writer("labdojo/main-db/postgres/20261101T000000Z-0a1b/parts/p.0001")
    now = datetime.now(UTC)
    assert sweep(store, GRACE, now).removed == []
    assert sweep(store, GRACE, now + timedelta(hours=7)).removed == ["labdojo/main-db/postgres/20261101T000000Z-0a1b/"]
    assert list(store.unfinished("")) == []
    writer.abort()


def test_a_killed_run_is_swept_once_its_lease_and_the_grace_are_over(
    begin: Callable[..., Any], back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore
) -> None:
    manifest = back_up()
    killed = begin()
    killed.store_part(io.BytesIO(b"half"), "table-0001", "data")
    later = datetime.now(UTC) + timedelta(hours=7)
    assert catalog.sweep(GRACE, datetime.now(UTC)) == []
    assert catalog.sweep(GRACE, later, system="aiaas") == []
    assert catalog.sweep(GRACE, later) == [killed.prefix]
    assert list(store.list(killed.prefix)) == []
    assert [row.manifest.id for row in catalog.backups()] == [manifest.id]
    killed.lease.release()


class Locked(FolderStore):
    """A folder whose every object is under retention."""

    until = NOW + timedelta(days=30)

    def delete(self, key: str, version: str | None = None) -> None:
        if "/parts/" in key:
            raise ObjectLocked(key)
        super().delete(key, version)

    def locked_until(self, key: str, version: str) -> datetime | None:
        return self.until


def test_locked_debris_waits_and_is_marked(tmp_path: Path) -> None:
    store = Locked("offsite", tmp_path)
    prefix = "labdojo/main-db/postgres/20261101T000000Z-0a1b/"
    put(store, f"{prefix}parts/p.0001", 10**4)
    catalog = Catalog(store, now=lambda: NOW)
    assert catalog.sweep(GRACE) == []
    mark = catalog.debris()[prefix]
    assert (mark.locked_until, mark.size, mark.found_at) == (Locked.until, 1, NOW)
    assert catalog.backups() == []
    store._path(f"{prefix}parts/p.0001").unlink()
    catalog.sweep(GRACE)
    assert catalog.debris() == {}


def test_the_sweep_brings_the_index_up_to_date(
    back_up: Callable[..., Manifest], catalog: Catalog, store: FolderStore
) -> None:
    kept, lost = back_up(), back_up()
    for info in list(store.list(lost.prefix)):
        store.delete(info.key)
    assert len(catalog.backups()) == 2
    catalog.sweep(GRACE)
    assert [row.manifest.id for row in catalog.backups()] == [kept.id]
