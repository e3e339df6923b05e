"""How far the archive is proven by replaying it, and what keeps the replay from going on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.pgbackrest.replay import said_in
from include.recovery.pgbackrest.replay_state import ReplayReport, ReplayState, judge_replay, waiting_segments
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, Lineage, Switch, lsn_of
from include.recovery.pgbackrest.wal import Archive, Finding, Trouble
from tests.recovery.pgbackrest.conftest import FULL, START, archive, name

MINUTE = timedelta(minutes=1)
LINE = Lineage(1)


def judged(
    position: int | None, stored: Archive, *, minute: float = 9, lineage: Lineage = LINE, opened: tuple = (),
    timeline: int = 1, silence: timedelta | None = None, **more: object,
) -> ReplayReport:
    at = START + minute * MINUTE
    state = ReplayState(at, position is not None, position, at - MINUTE, timeline, **more)  # type: ignore[arg-type]
    return judge_replay(
        state, stored, lineage, proven_from=FULL, allowance=2 * MINUTE, opened=opened, silence=silence
    )


def test_everything_is_replayed() -> None:
    report = judged(10 * SEGMENT_BYTES, archive(range(1, 10)))
    assert report.ok
    assert (report.lag_bytes, report.lag_seconds, report.waiting) == (0, 0.0, 0)
    assert report.loss_seconds == 60.0
    assert report.lsn == lsn_of(10 * SEGMENT_BYTES)


def test_the_end_of_a_record_within_the_last_segment_is_no_lag_in_time() -> None:
    report = judged(10 * SEGMENT_BYTES - 4000, archive(range(1, 10)))
    assert report.ok
    assert (report.lag_bytes, report.lag_seconds) == (4000, 0.0)


def test_one_that_has_just_come_may_wait() -> None:
    report = judged(9 * SEGMENT_BYTES, archive(range(1, 10)), minute=9.5)
    assert report.ok
    assert (report.lag_bytes, report.lag_seconds, report.waiting) == (SEGMENT_BYTES, 30.0, 1)


def test_a_sound_one_that_waits_too_long_is_an_alarm() -> None:
    report = judged(8 * SEGMENT_BYTES, archive(range(1, 10)), minute=12, said="something odd")
    assert [each.cause for each in report.concerns] == ["replay lag"]
    assert f"WAL segment {name(8)} has been in the archive for 240 s and is not replayed" in report.problems[0]
    assert "something odd" in report.problems[0]


def test_a_gap_is_named_at_once() -> None:
    report = judged(6 * SEGMENT_BYTES, archive([1, 2, 3, 4, 5, 7, 8, 9]))
    assert [each.cause for each in report.concerns] == ["wal missing"]
    assert f"WAL segment {name(6)} is missing, and the archive goes on at {name(7)}" in report.problems[0]
    several = judged(5 * SEGMENT_BYTES + 100, archive([4, 5, 8, 9]))
    assert f"WAL segments {name(6)} to {name(7)} are missing" in several.problems[0]


def test_what_was_found_in_a_segment_is_the_reason_and_not_the_lag() -> None:
    finding = Finding(Trouble.TRUNCATED, "WAL segment 8 is truncated", (name(8), name(8)))
    report = judged(8 * SEGMENT_BYTES, archive(range(1, 10)), minute=20, opened=(finding,))
    assert [(each.cause, each.sentence) for each in report.concerns] == [("wal truncated", finding.sentence)]


def test_a_standby_that_has_ended_is_never_green() -> None:
    report = judged(None, archive(range(1, 10)), said="FATAL of some kind")
    assert not report.ok
    assert report.lag_bytes is None
    assert "does not run or does not answer (FATAL of some kind); start it again" in report.problems[0]


def test_a_paused_replay_and_a_silent_archive() -> None:
    assert "replay pauses" in judged(10 * SEGMENT_BYTES, archive(range(1, 10)), paused=True).problems[0]
    silent = judged(10 * SEGMENT_BYTES, archive(range(1, 10)), minute=60, silence=5 * MINUTE)
    assert "no WAL segment has arrived since 2026-11-21 07:09:00+00, 300 s are allowed" in silent.problems[0]


def test_a_timeline_that_went_another_way() -> None:
    forked = Lineage(2, (Switch(1, 5 * SEGMENT_BYTES),))
    stored = archive(range(1, 10))
    assert "which is no part of timeline 2's past" in judged(8 * SEGMENT_BYTES, stored, lineage=forked).problems[0]
    assert judged(5 * SEGMENT_BYTES, archive(range(1, 5)), lineage=forked).ok


@given(st.sets(st.integers(1, 30), min_size=1), st.integers(1, 31), st.booleans())
def test_nothing_that_waits_is_forgotten(numbers: set[int], end: int, within: bool) -> None:
    position = end * SEGMENT_BYTES - (100 if within else 0)
    waiting = waiting_segments(archive(numbers), LINE, position)
    assert {segment.number for segment in waiting} == {number for number in numbers if number >= end}


@pytest.mark.parametrize(("log", "segment", "trouble"), [
    ("", None, ""),
    ("FATAL:  the database system is starting up\n", None, ""),
    (f'LOG:  restored log file "{name(3)}" from archive\nLOG:  redo starts at 0/3\n', name(3), ""),
    (f'LOG:  invalid magic\nLOG:  restored log file "{name(4)}" from archive\n', name(4), ""),
    (f'LOG:  restored log file "{name(4)}" from archive\nLOG:  WAL file is from different database system: x\n'
     f'LOG:  restored log file "{name(4)}" from archive\n', name(4), "WAL file is from different database system: x"),
])
def test_the_log_tells_what_went_wrong_since_the_last_good_segment(log: str, segment: str, trouble: str) -> None:
    said = said_in(log)
    assert (said.segment, said.trouble) == (segment, trouble)
