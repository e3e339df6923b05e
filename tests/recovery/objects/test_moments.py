from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import SourceUnavailable
from include.recovery.jobs import Stopped
from include.recovery.objects import moments
from include.recovery.objects.history import Row
from include.recovery.objects.listing import Version
from include.recovery.objects.moments import begun, current, merged, milliseconds, next_second, settled, shown
from include.recovery.stores.port import UnfinishedUpload

T = milliseconds(datetime(2026, 11, 21, 10, tzinfo=UTC))
HOUR = 3600_000


class Clock:
    def __init__(self, step: float) -> None:
        self.now, self.step = datetime(2026, 11, 21, 10, tzinfo=UTC), timedelta(seconds=step)

    def clock(self) -> datetime:
        self.now += self.step
        return self.now.replace(microsecond=0)


def test_the_moment_is_the_turn_of_a_second_and_past() -> None:
    clock = Clock(0.3)
    moment = next_second(clock, threading.Event())
    assert moment == T + 1000
    assert milliseconds(clock.now) >= moment


def test_a_clock_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_POLL", 0.001)
    monkeypatch.setattr(moments, "_PATIENCE", timedelta(seconds=0.01))
    with pytest.raises(SourceUnavailable, match="stands still"):
        next_second(Clock(0), threading.Event())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        next_second(Clock(0), stop)


def test_what_comes_at_the_moment_or_later_is_the_next_backups() -> None:
    versions = [Version("k", "new", T, 1, "e"), Version("k", "old", T - 1, 1, "e")]
    assert settled(versions, T, {}) == ([versions[1]], [])


def test_an_upload_that_was_in_progress_is_named_and_left_to_the_next_backup() -> None:
    upload = begun([UnfinishedUpload("k", "u", datetime(2026, 11, 21, 9, 0, 0, 700_000, tzinfo=UTC))])
    completed = Version("k", "late", T - HOUR, 1, "e-3")
    before = Version("k", "old", T - 2 * HOUR, 1, "e-2")

    there, ((what, why),) = settled([completed, before], T, upload)

    assert there == [before]
    assert what == "version late of 'k'"
    assert "in progress at the backup's moment" in why


def test_an_upload_in_parts_right_before_the_moment_is_named_and_kept() -> None:
    fresh = Version("k", "v", T - 1500, 1, "e-2")
    there, ((what, why),) = settled([fresh], T, {})
    assert there == [fresh]
    assert what == "exact moment of version v of 'k'"
    assert "the backup has it" in why


def test_what_was_current_then() -> None:
    rows = [
        Row("k", "v3", T + 20, 1, "e"),
        Row("k", "gone", T + 10, 0, "", marker=True),
        Row("k", "v1", T + 1, 1, "e"),
    ]
    assert current(rows, T + 1) == (None, "")
    assert current(rows, T + 2) == (rows[2], "")
    assert current(rows, T + 15) == (None, "")
    assert current(rows, T + 21) == (rows[0], "")


def test_of_two_of_one_second_the_listing_tells_which_is_newer() -> None:
    second, first = Row("k", "v2", T, 1, "e"), Row("k", "v1", T, 1, "e")
    assert current([second, first], T + 1000) == (second, "")


def test_a_moment_within_a_second_that_the_service_does_not_split_is_in_doubt() -> None:
    row = Row("k", "v1", T, 1, "e")
    found, doubt = current([row], T + 500)
    assert found == row
    assert "same second" in doubt
    assert current([row], T + 1000) == (row, "")


def test_a_multipart_upload_is_in_doubt_until_a_backup_has_seen_it() -> None:
    row = Row("k", "v1", T, 1, "e-2")
    found, doubt = current([row], T + HOUR)
    assert found == row
    assert "no backup tells whether it was complete" in doubt
    assert current([row._replace(seen=T + HOUR // 2)], T + HOUR) == (row._replace(seen=T + HOUR // 2), "")
    assert current([row], T + 25 * HOUR) == (row, "")


def test_a_multipart_upload_that_a_backup_did_not_see_was_not_there() -> None:
    late = Row("k", "late", T, 1, "e-2", seen=T + 2 * HOUR, absent=T + HOUR)
    before = Row("k", "old", T - HOUR, 1, "e")

    found, doubt = current([late, before], T + HOUR // 2)
    assert found == before
    assert "did not have it" in doubt
    assert current([late, before], T + 2 * HOUR + 1) == (late, "")
    assert "no backup tells" in current([late, before], T + HOUR + 1)[1]


def test_what_was_deleted_for_good_counts_until_a_backup_missed_it() -> None:
    lost = Row("k", "lost", T, 1, "e", gone=T + HOUR)
    before = Row("k", "old", T - HOUR, 1, "e")
    assert current([lost, before], T + HOUR - 1) == (lost, "")
    assert current([lost, before], T + HOUR) == (before, "")


def test_what_a_backup_knows_is_merged_into_the_listing() -> None:
    kept, lost = Row("k", "v1", T, 1, "e", digest="d", copy="c"), Row("k", "v2", T + 1, 1, "e", digest="x")
    new = Version("k", "v3", T + 2, 1, "e")
    again = Version("k", "null", T + 3, 2, "other")

    found = merged([again, new, Version(*kept[:6])], [lost, kept, Row("k", "null", T - 1, 2, "e", digest="old")])

    assert [f"{row.id} {row.digest}" for row in found] == ["null ", "v3 ", "v2 x", "v1 d", "null old"]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=8), st.integers(0, 60))
def test_as_of_is_the_newest_that_was_stored_before(stack: list[tuple[int, bool]], moment: int) -> None:
    stack.sort(reverse=True, key=lambda each: each[0])
    rows = [Row("k", str(n), T + 1000 * at, 1, "e", marker=marker) for n, (at, marker) in enumerate(stack)]

    found, doubt = current(rows, T + 1000 * moment)

    before = [row for row in rows if row.modified < T + 1000 * moment]
    assert doubt == ""
    assert found == (before[0] if before and not before[0].marker else None)


def test_moments_are_shown_as_exactly_as_they_are() -> None:
    assert shown(T) == "2026-11-21T10:00:00+00:00"
    assert shown(T + 5) == "2026-11-21T10:00:00.005+00:00"
