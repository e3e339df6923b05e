"""Is the standby a candidate, and if not, why not?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.concerns import Severity
from include.recovery.postgres.replication_state import PrimaryState, Slot, StandbyState
from include.recovery.postgres.standby import Limits, judge_standby

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
MIB = 1024**2
PRIMARY = PrimaryState(
    at=NOW, in_recovery=False, system_identifier="77", timeline=1, position=1000 * MIB, slot_limit=1024 * MIB,
    connections=97, sessions=5, active=1, queued=0,
)
STANDBY = StandbyState(
    at=NOW, in_recovery=True, system_identifier="77", timeline=1, received=1000 * MIB, replayed=999 * MIB,
    replayed_at=NOW - timedelta(seconds=3), paused=False, receiver="streaming", slot="standby1", heard_at=NOW,
)


def judged(primary: PrimaryState | None = PRIMARY, standby: StandbyState | None = STANDBY):
    return judge_standby(primary, standby, Limits(), now=NOW)


def test_a_candidate_with_its_lag() -> None:
    report = judged()
    assert report.candidate
    assert (report.lag_bytes, report.lag_seconds, report.timeline) == (MIB, 3.0, 1)
    assert report.concerns == ()
    assert report.in_words == "1.0 MiB and 3 s at most behind, timeline 1; a candidate for failover"


def test_nothing_to_replay_is_no_lag_however_old_the_last_commit() -> None:
    quiet = replace(STANDBY, replayed=PRIMARY.position, replayed_at=NOW - timedelta(hours=5))
    assert judged(standby=quiet).lag_seconds == 0.0
    assert judged(standby=quiet).candidate


@pytest.mark.parametrize(("changes", "cause", "words"), [
    ({"replayed": 900 * MIB}, "standby lag", "100 MiB of WAL are not replayed, 64 MiB are allowed"),
    ({"replayed_at": NOW - timedelta(minutes=5)}, "standby lag", "the last replayed commit is 300 s old"),
    ({"timeline": 2}, "standby timeline", "follows timeline 2, and the primary writes timeline 1"),
    ({"paused": True}, "standby replay", "replay is paused"),
    ({"receiver": None}, "standby receiver", "no WAL receiver runs"),
    ({"system_identifier": "78"}, "standby identity", "is of system 78"),
    ({"in_recovery": False, "replayed": None}, "standby identity", "is no standby any more"),
])
def test_why_not(changes: dict, cause: str, words: str) -> None:
    report = judged(standby=replace(STANDBY, **changes))
    assert not report.candidate
    assert any(words in why for why in report.why_not), report
    assert cause in {concern.cause for concern in report.concerns}


def test_a_standby_that_stopped_is_critical_and_no_candidate() -> None:
    report = judge_standby(PRIMARY, None, Limits(), now=NOW, standby_error="it refused")
    assert not report.candidate
    assert report.concerns[0].severity is Severity.CRITICAL
    assert "it refused" in report.concerns[0].sentence


def test_without_its_primary_it_is_a_candidate_when_all_that_came_is_replayed() -> None:
    report = judged(None, replace(STANDBY, replayed=1000 * MIB, receiver=None))
    assert report.candidate
    assert [concern.cause for concern in report.concerns] == ["primary"]


def test_the_primarys_slots_are_watched_too() -> None:
    lost = Slot("standby1", "physical", active=False, wal_status="lost", kept_bytes=None, safe_bytes=None)
    assert [each.cause for each in judged(replace(PRIMARY, slots=(lost,))).concerns] == ["slot standby1"]
