"""What protection may not do to the primary: fill its disk, or drop WAL unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from include.recovery.concerns import Severity
from include.recovery.pgbackrest.protection import Guard, judge_primary
from include.recovery.postgres.replication_state import Slot
from tests.recovery.pgbackrest.test_archiver import FAILING, HEALTHY, MINUTE

GIB = 1024**3
GUARD = Guard(queue_max=GIB, slot_limit=GIB, archive_timeout=MINUTE, allowance=MINUTE)
ROOMY = replace(HEALTHY, free_bytes=100 * GIB)


def judged(state=ROOMY, guard=GUARD, slots=()):
    return judge_primary(state, slots, guard, where="db")


def causes(state=ROOMY, guard=GUARD, slots=()) -> dict[str, Severity]:
    return {concern.cause: concern.severity for concern in reversed(judged(state, guard, slots).concerns)}


def test_all_is_well() -> None:
    assert judged().concerns == ()
    assert judged().worst is None


def test_a_dead_repository_for_ten_minutes() -> None:
    found = judged(replace(FAILING, free_bytes=1000 * GIB))
    assert found.worst is Severity.CRITICAL
    assert {concern.cause for concern in found.concerns} == {"archive_command", "archive queue"}
    assert found.dropping_in is not None
    assert found.dropping_in < timedelta(minutes=2)
    assert "and pgBackRest drops WAL then" in " ".join(concern.sentence for concern in found.concerns)


def test_a_queue_that_is_beyond_its_limit_drops_now() -> None:
    found = judged(replace(FAILING, waiting=70, free_bytes=100 * GIB))
    assert any("pgBackRest drops WAL now" in concern.sentence for concern in found.concerns)


def test_the_disk_that_is_full_before_the_queue() -> None:
    assert causes(replace(HEALTHY, free_bytes=GIB // 2))["archive queue limit"] is Severity.WARNING
    assert causes(replace(HEALTHY, free_bytes=10 * 1024**2))["disk of pg_wal"] is Severity.CRITICAL
    assert causes(replace(FAILING, free_bytes=GIB))["disk of pg_wal"] is Severity.CRITICAL


def test_settings_that_protect_nothing() -> None:
    found = causes(guard=replace(GUARD, queue_max=None, archive_timeout=None, archive_mode="off"))
    assert found == {
        "archive_mode": Severity.CRITICAL, "archive_timeout": Severity.WARNING, "archive queue limit": Severity.WARNING,
    }


def test_an_idle_slot_without_a_limit() -> None:
    idle = Slot("old", "logical", active=False, wal_status="extended", kept_bytes=200 * GIB, safe_bytes=None)
    assert causes(guard=replace(GUARD, slot_limit=None), slots=(idle,)) == {
        "slot old": Severity.CRITICAL, "slot limit": Severity.WARNING,
    }
