"""Where the drill aims, and whether a copy ends where it was asked to."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.catalog.points import Heartbeat, RecoveryPoint
from include.recovery.errors import BackupNotFound
from include.recovery.fingerprint.model import DatabaseFingerprint
from include.recovery.pgbackrest.check import ArchiveReport
from include.recovery.pgbackrest.drill_window import (
    Window,
    judge_heartbeat,
    random_second,
    reachable_point,
    window_of,
)
from include.recovery.pgbackrest.segments import Lineage
from tests.recovery.pgbackrest.conftest import FULL, START, SYSTEM, archive, backup_json, info, name

MINUTE = timedelta(minutes=1)
INFO = info(backup_json(FULL, minute=3, wal=(name(2), name(3))))
EMPTY = DatabaseFingerprint(
    server_version="15", tables={}, definitions={}, sequences={}, large_objects=None, roles=None, grants=None,
    extensions={},
)


def report(numbers: range) -> ArchiveReport:
    return ArchiveReport(archive(numbers), Lineage(1), (), {})


def point(minute: int, segment: int, *, verifiable: bool = True, system: str = SYSTEM) -> RecoveryPoint:
    return RecoveryPoint(
        system="shop", source="main-db", name=f"lifeboat_{minute}", kind="verifiable" if verifiable else "heartbeat",
        at=START + minute * MINUTE, lsn=f"0/{segment:X}000100", timeline=1, system_identifier=system, waited_ms=1,
        attempts=1, fingerprint=EMPTY if verifiable else None,
    )


def test_the_newest_point_that_is_archived() -> None:
    found = reachable_point(
        [point(12, 12), point(11, 9, verifiable=False), point(9, 9)], INFO, 1, report(range(1, 11)),
        now=START + 13 * MINUTE, delay=2 * MINUTE,
    )
    assert found.point is not None
    assert found.point.name == "lifeboat_9"
    assert found.problem is None
    assert "lifeboat_12 was passed over: it is too young to be archived" in found.notes[0]
    assert "lifeboat_11 was passed over: it has only a heartbeat" in found.notes[1]


def test_a_point_that_should_be_reachable_and_is_not_is_a_failure_though_an_older_one_is() -> None:
    found = reachable_point(
        [point(12, 12), point(9, 9)], INFO, 1, report(range(1, 11)), now=START + 30 * MINUTE, delay=2 * MINUTE
    )
    assert found.point is not None
    assert found.problem is not None
    assert "point lifeboat_12 of 2026-11-21T07:12:00+00:00 cannot be restored" in found.problem


def test_no_point_at_all_and_a_point_of_another_system() -> None:
    none = reachable_point([], INFO, 1, report(range(1, 11)), now=START, delay=MINUTE)
    assert "none of 0 recovery points is verifiable and archived" in (none.problem or "")
    other = reachable_point([point(9, 9, system="1")], INFO, 1, report(range(1, 11)), now=START, delay=MINUTE)
    assert other.point is None
    assert "was made in system 1" in (other.problem or "")


def test_the_window_begins_with_the_oldest_backup_and_says_that_it_is_short() -> None:
    window = window_of(
        INFO, 1, report(range(1, 11)), since=START - timedelta(hours=72), newest=START + 9 * MINUTE, heartbeat=MINUTE
    )
    assert window.first == START + 4 * MINUTE
    assert window.last == START + 9 * MINUTE - timedelta(seconds=1)
    assert "the window begins at 2026-11-21 07:03:00+00" in (window.short or "")
    with pytest.raises(BackupNotFound, match="no second lies between"):
        window_of(INFO, 1, report(range(1, 3)), since=START, newest=START, heartbeat=MINUTE)
    with pytest.raises(BackupNotFound, match="there is no backup"):
        window_of(info(), 1, report(range(1, 3)), since=START, newest=START, heartbeat=MINUTE)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_every_second_is_within_the_window(seconds: int, seed: int) -> None:
    window = Window(START, START + timedelta(seconds=seconds))
    second = random_second(window, random.Random(seed))  # noqa: S311
    assert window.first <= second <= window.last
    assert second.microsecond == 0


def beat(seconds: float) -> Heartbeat:
    return Heartbeat(beat=7, at=START - timedelta(seconds=seconds))


@pytest.mark.parametrize(("newest", "words"), [
    (beat(1), None), (beat(119), None), (beat(0), None),
    (beat(-1), "it went beyond the second that was asked for"),
    (beat(121), "121 s before, and one is written every 60 s"),
    (None, "has no heartbeat"),
])
def test_the_heartbeat_tells_where_a_copy_ends(newest: Heartbeat | None, words: str | None) -> None:
    said = judge_heartbeat(newest, START, MINUTE)
    assert said is None if words is None else words in (said or "")
