"""A backup that never started: found at the end of its grace, never before, also in the nights when clocks change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.concerns import Severity
from include.recovery.policy.cron import last_due
from include.recovery.watchdog.late_backups import Late, late, late_backups
from include.recovery.watchdog.look import Look, Subject

BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
GRACE = timedelta(minutes=30)
SUNDAYS = "0 2 * * 0"

schedules = st.sampled_from(
    ["0 2 * * 0", "30 2 * * *", "30 * * * *", "*/15 * * * *", "0 3 * * 1-6", "0 */6 * * *", "0 1 1 * *", "15 2,3 * * *"]
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney"])
# Both changes of 2026, of both hemispheres, and the days around them.
moments = st.integers(0, 275 * 86400).map(lambda seconds: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds))
graces = st.integers(0, 90).map(lambda minutes: timedelta(minutes=minutes))


def berlin(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=BERLIN, fold=fold).astimezone(UTC)  # type: ignore[misc, arg-type]


def missing(now: datetime, *begun: datetime, cron: str = SUNDAYS, known_since: datetime = LONG_AGO) -> Late | None:
    return late(cron, "Europe/Berlin", GRACE, begun, known_since=known_since, now=now)


def test_it_is_late_when_its_grace_has_passed_and_not_before() -> None:
    due, before = berlin(2026, 11, 15, 2), berlin(2026, 11, 8, 2)
    assert missing(due + GRACE - timedelta(seconds=1), before) is None
    assert missing(due + GRACE, before) == Late(due, again=False)
    assert missing(due + GRACE) == Late(due, again=True)
    assert missing(due + GRACE, due + timedelta(seconds=20)) is None


def test_one_taken_by_hand_before_does_not_count_and_one_after_does() -> None:
    due = berlin(2026, 11, 15, 2)
    assert missing(due + GRACE, due - timedelta(hours=3)) is not None
    assert missing(due + timedelta(hours=9), due + timedelta(hours=8)) is None


def test_what_was_due_before_the_watchdog_knew_of_it_is_not_asked_for() -> None:
    due = berlin(2026, 11, 15, 2)
    assert missing(due + timedelta(days=2), known_since=due + timedelta(days=1)) is None
    assert missing(due + timedelta(days=7, hours=1), known_since=due + timedelta(days=1)) == Late(
        due + timedelta(days=7), again=False
    )


def test_a_time_that_is_skipped_is_due_as_much_later() -> None:
    """On 29 March 2026 there is no 02:30 in Berlin: the run is at 03:30, which is 01:30 UTC."""
    run = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    daily = "30 2 * * *"
    assert last_due(daily, "Europe/Berlin", run - timedelta(seconds=1)) == berlin(2026, 3, 28, 2, 30)
    assert last_due(daily, "Europe/Berlin", datetime(2026, 3, 29, 12, tzinfo=UTC)) == run


def test_a_time_that_is_there_twice_is_due_once() -> None:
    """On 25 October 2026 there are two 02:30 in Berlin: the run is at the second one, 01:30 UTC."""
    first, second = berlin(2026, 10, 25, 2, 30), berlin(2026, 10, 25, 2, 30, fold=1)
    assert second - first == timedelta(hours=1)
    daily = "30 2 * * *"
    assert last_due(daily, "Europe/Berlin", second - timedelta(seconds=1)) == berlin(2026, 10, 24, 2, 30)
    assert last_due(daily, "Europe/Berlin", second) == second
    assert missing(first + GRACE, berlin(2026, 10, 24, 2, 30), cron=daily) is None
    assert missing(second + GRACE, berlin(2026, 10, 24, 2, 30), cron=daily) == Late(second, again=False)


def test_an_hourly_schedule_runs_in_both_hours_that_have_one_name() -> None:
    first, second = berlin(2026, 10, 25, 2, 30), berlin(2026, 10, 25, 2, 30, fold=1)
    for run in (first, second):
        assert last_due("30 * * * *", "Europe/Berlin", run) == run
        assert last_due("30 * * * *", "Europe/Berlin", run + timedelta(minutes=20)) == run
    assert missing(second + GRACE, first, cron="30 * * * *") == Late(second, again=False)


@given(cron=schedules, zone=zones, grace=graces, at=moments)
def test_a_backup_that_always_starts_on_time_is_never_late(
    cron: str, zone: str, grace: timedelta, at: datetime
) -> None:
    begun = last_due(cron, zone, at) + timedelta(seconds=5)
    if begun <= at:
        assert late(cron, zone, grace, [begun], known_since=LONG_AGO, now=at) is None


@given(cron=schedules, zone=zones, grace=graces, at=moments)
def test_one_that_stopped_is_late_as_soon_as_its_next_grace_has_passed(
    cron: str, zone: str, grace: timedelta, at: datetime
) -> None:
    due = last_due(cron, zone, at)
    before = last_due(cron, zone, due - timedelta(seconds=1))
    assert before < due <= at
    found = late(cron, zone, grace, [before], known_since=LONG_AGO, now=due + grace)
    assert found == Late(due, again=False)
    early = late(cron, zone, grace, [before], known_since=LONG_AGO, now=due + grace - timedelta(seconds=1))
    assert early is None or early.due < due


@given(cron=schedules, zone=zones, at=moments, back=st.integers(1, 4 * 86400))
def test_what_was_due_never_goes_back(cron: str, zone: str, at: datetime, back: int) -> None:
    assert last_due(cron, zone, at - timedelta(seconds=back)) <= last_due(cron, zone, at) <= at


@pytest.mark.demand("L26")
def test_each_tier_is_asked_for_in_each_store_that_it_is_taken_to(
    folder_workspace: Any, make_backup: Callable[..., Any], make_cluster_backup: Callable[..., Any]
) -> None:
    now = berlin(2026, 11, 17, 12)
    make_cluster_backup(berlin(2026, 11, 15, 2), tier="weekly-full")
    make_backup(berlin(2026, 11, 17, 0, 30), tier="daily-dump")
    system = folder_workspace.system("labdojo")
    subject = Subject(Look.around(folder_workspace, now), system, system.sources[0], {})
    assert list(late_backups(subject)) == [], "nothing is late that nobody knew of"
    ever = dict.fromkeys(_known(system), LONG_AGO)
    found = list(late_backups(Subject(subject.look, system, system.sources[0], ever)))
    assert {concern.cause for concern in found} == {
        "backup weekly-full in offsite", "backup daily-incremental in primary", "backup weekly-offsite-sync in offsite",
        "backup weekly-differential in primary", "backup weekly-differential in offsite",
        "backup monthly-archive in primary",
    }
    offsite = next(concern for concern in found if concern.cause == "backup weekly-full in offsite")
    assert offsite.severity is Severity.CRITICAL
    assert offsite.sentence == (
        "labdojo/main-db: the backup of tier weekly-full that was due 2026-11-15 02:00:00 CET is not in store offsite, "
        "and not the one before it either (there is none yet), 30m are allowed; see why backup__labdojo__weekly-full "
        "did not start or end, and trigger it"
    )


def _known(system: Any) -> list[str]:
    from include.recovery.watchdog.watch import _to_know

    return list(_to_know(system))
