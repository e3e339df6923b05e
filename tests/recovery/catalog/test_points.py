"""Recovery points beside the backups: written once, listed newest first, picked by a wish."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.catalog.points import Heartbeat, RecoveryPoint, RecoveryPoints
from include.recovery.errors import BackupCorrupt, BackupNotFound, PreconditionFailed
from include.recovery.fingerprint.model import DatabaseFingerprint, NotCompared
from include.recovery.stores.folder import FolderStore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FINGERPRINT = DatabaseFingerprint(
    server_version="15.20", tables={}, definitions={}, sequences={}, large_objects=None, roles=None, grants=None,
    extensions={},
)  # fmt: skip


def point(hours_ago: float, *, verifiable: bool = True, **more: Any) -> RecoveryPoint:
    at = NOW - timedelta(hours=hours_ago)
    facts: dict[str, Any] = {
        "system": "labdojo", "source": "main-db", "name": f"lifeboat_{at:%Y%m%dT%H%M%SZ}_0a1b2c",
        "kind": "verifiable" if verifiable else "heartbeat", "at": at, "lsn": "0/3000060", "timeline": 1,
        "system_identifier": "7300000000000000001", "waited_ms": 1.9, "attempts": 1,
        "fingerprint": FINGERPRINT if verifiable else None,
        "not_compared": (NotCompared(object="sequences", why="not transactional"),),
        "heartbeat": Heartbeat(beat=5, at=at),
    }  # fmt: skip
    return RecoveryPoint(**(facts | more))


@pytest.fixture
def points(store: FolderStore) -> RecoveryPoints:
    return RecoveryPoints(store)


def test_a_point_is_found_as_it_was_written(points: RecoveryPoints, store: FolderStore) -> None:
    made = point(1, at=datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1))))
    key = points.record(made)
    assert key == f"labdojo/main-db/points/20261121T070000.123456Z-{made.name}.json"
    (entry,) = points.listed("labdojo", "main-db")
    assert (entry.at, entry.name, entry.key) == (made.at, made.name, key)
    assert points.read(entry) == made


def test_a_point_is_never_replaced(points: RecoveryPoints, store: FolderStore) -> None:
    points.record(point(1))
    points.record(point(1))  # a retry
    with pytest.raises(PreconditionFailed, match="another recovery point .* points are never replaced"):
        points.record(point(1, waited_ms=70.0))


def test_the_newest_comes_first_and_other_objects_are_no_points(points: RecoveryPoints, store: FolderStore) -> None:
    for hours in (3, 1, 2):
        points.record(point(hours))
    points.record(point(0.5, source="other-db"))
    store.put("labdojo/main-db/points/notes.txt", b"x")
    assert [entry.at for entry in points.listed("labdojo", "main-db")] == [NOW - timedelta(hours=n) for n in (1, 2, 3)]


def test_the_newest_point_is_the_newest_verifiable_one(points: RecoveryPoints) -> None:
    for made in (point(3), point(2), point(1, verifiable=False, note="only a heartbeat: public.a was in use")):
        points.record(made)
    assert points.pick("labdojo", "main-db", "newest point", NOW) == point(2)
    assert points.pick("labdojo", "main-db", " newest  point before 2026-11-21T10:30:00+01:00 ", NOW) == point(3)
    heartbeat = point(1, verifiable=False, note="only a heartbeat: public.a was in use")
    assert points.pick("labdojo", "main-db", heartbeat.name, NOW) == heartbeat


def test_a_point_from_the_future_is_left_out(points: RecoveryPoints) -> None:
    points.record(point(1))
    points.record(point(-1))
    assert points.pick("labdojo", "main-db", "newest point", NOW) == point(1)
    assert points.pick("labdojo", "main-db", "newest point before 2027-01-01T00:00:00Z", NOW) == point(1)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ("newest point before 2026-11-21T08:00:00", r"'2026-11-21T08:00:00' has no time zone"),
        ("newest point before noon", r"'noon' is no time"),
        ("newest point before 2026-11-20T00:00:00Z", r"no point from .* or earlier; the oldest is from 2026-11-21T09"),
        ("newest point", r"no verifiable point .* skipped lifeboat_\w+: only a heartbeat: public\.a was in use"),
        ("lifeboat_gone", r"no recovery point 'lifeboat_gone'; ask for a name from the list, 'newest point'"),
    ],
)
def test_a_wish_that_no_point_fits(points: RecoveryPoints, wish: str, sentence: str) -> None:
    points.record(point(3, verifiable=False, note="only a heartbeat: public.a was in use"))
    with pytest.raises(BackupNotFound, match=sentence):
        points.pick("labdojo", "main-db", wish, NOW)


def test_no_points_at_all(points: RecoveryPoints) -> None:
    with pytest.raises(BackupNotFound, match="labdojo/main-db has no recovery points; make one first"):
        points.pick("labdojo", "main-db", "newest point", NOW)


def test_an_unreadable_point_is_passed_over_and_named(points: RecoveryPoints, store: FolderStore) -> None:
    points.record(point(2))
    store.put(point(1).key, b'{"schema_version": 2}')
    assert points.pick("labdojo", "main-db", "newest point", NOW) == point(2)
    with pytest.raises(BackupCorrupt, match="it is damaged or of a newer Lifeboat"):
        points.pick("labdojo", "main-db", point(1).name, NOW)


def test_a_point_that_was_moved_is_refused(points: RecoveryPoints, store: FolderStore) -> None:
    store.put(point(1).key, point(2).model_dump_json().encode())
    with pytest.raises(BackupCorrupt, match="says that it is .* moved or edited"):
        points.read(points.listed("labdojo", "main-db")[0])


@pytest.mark.parametrize("kind", ["verifiable", "heartbeat"])
def test_the_kind_and_the_fingerprint_agree(kind: str) -> None:
    with pytest.raises(ValueError, match="a verifiable point has a fingerprint, a heartbeat point has none"):
        point(1, kind=kind, fingerprint=None if kind == "verifiable" else FINGERPRINT)


@given(
    made=st.lists(st.tuples(st.integers(-3, 40), st.booleans()), unique_by=lambda item: item[0], max_size=12),
    before=st.integers(-3, 40),
)
def test_whatever_there_is_the_newest_fitting_point_is_picked(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, bool]], before: int
) -> None:
    points = RecoveryPoints(FolderStore("primary", Path(tmp_path_factory.mktemp("points"))))
    for hours, verifiable in made:
        points.record(point(hours, verifiable=verifiable))
    fitting = sorted(hours for hours, verifiable in made if verifiable and hours >= max(before, 0))
    wish = f"newest point before {(NOW - timedelta(hours=before)).isoformat()}"
    if fitting:
        assert points.pick("labdojo", "main-db", wish, NOW) == point(fitting[0])
    else:
        with pytest.raises(BackupNotFound):
            points.pick("labdojo", "main-db", wish, NOW)
