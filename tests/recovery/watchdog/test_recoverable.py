"""The newest recoverable point against the RPO: backups count from their snapshot, WAL from what is archived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.catalog.archive_proofs import ArchiveProof, ArchiveProofs, found
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import SourceUnavailable, StoreUnavailable
from include.recovery.pgbackrest.archiver import ArchiverState
from include.recovery.pgbackrest.protection import Protection
from include.recovery.watchdog import recoverable as module
from include.recovery.watchdog.look import Look, Subject, ToldElsewhere
from include.recovery.watchdog.recoverable import Bounds, Point, archived_until, judge_age, recoverable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
STATE = ArchiverState(
    at=NOW, archived_count=9, last_archived="000000010000000000000009", last_archived_at=NOW - timedelta(seconds=70),
    failed_count=0, last_failed=None, last_failed_at=None, waiting=0, waiting_since=None, wal_bytes=0,
    free_bytes=None, position=None, segment_bytes=16 * 1024**2,
)  # fmt: skip


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_a_server_that_writes_is_archived_until_its_last_segment() -> None:
    assert archived_until(STATE, NOW - timedelta(seconds=10)) == STATE.last_archived_at
    waiting = replace(STATE, waiting=1, waiting_since=NOW)
    assert archived_until(waiting, None) == STATE.last_archived_at


def test_a_quiet_server_has_nothing_to_lose() -> None:
    assert archived_until(STATE, NOW - timedelta(seconds=80)) == NOW
    assert archived_until(STATE, None) == NOW
    assert archived_until(replace(STATE, last_archived_at=None), None) is None


def test_archived_wal_is_judged_by_the_clock_that_does_not_jump() -> None:
    """On 29 March 2026 Berlin goes from 02:00 to 03:00 at 01:00 UTC; on 25 October back from 03:00 to 02:00."""
    bounds = Bounds(minutes(12), minutes(15), by_the_clock=False)
    spring, autumn = datetime(2026, 3, 29, 1, 5, tzinfo=UTC), datetime(2026, 10, 25, 1, 5, tzinfo=UTC)
    for change in (spring, autumn):
        assert judge_age(Point(change - minutes(10), ""), bounds, "Europe/Berlin", change)[0] is None
        assert judge_age(Point(change - minutes(16), ""), bounds, "Europe/Berlin", change)[0] is Severity.CRITICAL
    assert judge_age(Point(NOW - minutes(13), ""), bounds, "UTC", NOW) == (Severity.WARNING, minutes(13))


def test_a_day_is_24_hours_on_the_wall_also_when_it_has_25() -> None:
    bounds = Bounds(DAY + minutes(30), DAY + minutes(30), by_the_clock=True)
    berlin = ZoneInfo("Europe/Berlin")
    taken = datetime(2026, 10, 24, 13, tzinfo=berlin)
    soon = datetime(2026, 10, 25, 13, 29, tzinfo=berlin)
    assert judge_age(Point(taken, ""), bounds, "Europe/Berlin", soon)[0] is None
    late = datetime(2026, 10, 25, 13, 31, tzinfo=berlin)
    assert judge_age(Point(taken, ""), bounds, "Europe/Berlin", late)[0] is Severity.CRITICAL


@given(st.integers(0, 400 * 86400), st.integers(0, 3 * 86400), st.booleans())
def test_an_older_point_is_never_judged_better(start: int, older: int, by_the_clock: bool) -> None:
    bounds = Bounds(minutes(12), minutes(15), by_the_clock)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    point = now - minutes(14)
    severity, age = judge_age(Point(point, ""), bounds, "Europe/Berlin", now)
    further = Point(point - timedelta(seconds=older) - timedelta(hours=2), "")
    worse, longer = judge_age(further, bounds, "Europe/Berlin", now)
    assert (worse or 0) >= (severity or 0)
    assert longer >= age - timedelta(hours=1)


@pytest.fixture
def subject(folder_workspace: Any, make_cluster_backup: Callable[..., Any]) -> Subject:
    """labdojo with a backup of yesterday, an RPO of 15 minutes, and archived WAL."""
    make_cluster_backup(NOW - DAY, tier="weekly-full")
    system = folder_workspace.system("labdojo")
    return Subject(Look.around(folder_workspace, NOW), system, system.sources[0], {"source": NOW - 9 * DAY})


def archived(subject: Subject, monkeypatch: pytest.MonkeyPatch, ago: timedelta) -> list[Concern]:
    state = replace(STATE, last_archived_at=NOW - ago, waiting=1, waiting_since=NOW)
    monkeypatch.setattr(Look, "protection", lambda *_: Protection(state, None, None, ()))
    monkeypatch.setattr(module, "read_heartbeat", lambda _: None)
    monkeypatch.setattr(subject.look.workspace, "server", lambda _: None)
    return list(recoverable(subject))


@pytest.mark.demand("L26")
def test_an_rpo_is_announced_before_it_is_missed(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archived(subject, monkeypatch, minutes(11)) == []
    (warning,) = archived(subject, monkeypatch, minutes(13))
    assert (warning.severity, warning.cause) == (Severity.WARNING, "rpo")
    assert warning.sentence == (
        "labdojo/main-db: the newest recoverable point is 13 min old (WAL archived until 2026-11-21 12:47:00 CET), RPO "
        "15m, so it is missed in 2 min; see why WAL does not reach the stores (archive_command, pgBackRest's log), or "
        "take a backup now"
    )
    (missed,) = archived(subject, monkeypatch, minutes(16))
    assert (missed.severity, missed.cause) == (Severity.CRITICAL, "rpo")
    assert "so it is missed now" in missed.sentence


def test_without_a_backup_wal_is_worth_nothing(folder_workspace: Any) -> None:
    system = folder_workspace.system("labdojo")
    look = Look.around(folder_workspace, NOW)
    (nothing,) = recoverable(Subject(look, system, system.sources[0], {"source": NOW - DAY}))
    assert "nothing can be recovered" in nothing.sentence
    assert list(recoverable(Subject(look, system, system.sources[0], {"source": NOW - minutes(5)}))) == [], "it is new"


def test_a_gap_that_the_replay_found_counts_more_than_what_the_server_says(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = ArchiveProof(
        system="labdojo", source="main-db", store="primary", by="replay", at=NOW - minutes(2), caught_up_at=NOW - DAY,
        recoverable_at=NOW - minutes(40), waiting=30,
        found=found((Concern(Severity.CRITICAL, "wal missing", "a gap; take a full backup"),)),
    )  # fmt: skip
    ArchiveProofs(subject.look.workspace.store("primary")).keep(proof)
    (missed,) = archived(subject, monkeypatch, minutes(1))
    assert "40 min old (the last commit that the replay proof replayed)" in missed.sentence


def test_a_server_that_is_down_loses_nothing_new(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> Protection:
        raise SourceUnavailable("it does not answer")

    monkeypatch.setattr(Look, "protection", down)
    with pytest.raises(ToldElsewhere):
        list(recoverable(subject))


def test_a_store_that_is_down_makes_no_rpo_missed(folder_workspace: Any, make_backup: Callable[..., Any]) -> None:
    """It may have a younger point; that it is down is another alarm."""
    make_backup(NOW - 9 * DAY)
    look = Look.around(folder_workspace, NOW)
    system = folder_workspace.system("labdojo").model_copy()
    source = system.sources[0].model_copy(update={"wal": None})
    seen = Subject(replace(look, stores={**look.stores, "offsite": StoreUnavailable("down")}), system, source, {})
    with pytest.raises(ToldElsewhere):
        list(recoverable(seen))
    (missed,) = recoverable(replace(seen, look=look))
    assert missed.severity is Severity.CRITICAL
