"""Slots that hold what is needed, and slots that fill the disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.recovery.concerns import Severity
from include.recovery.postgres.replication_state import Slot
from include.recovery.postgres.slots import judge_slots

GIB, MIB = 1024**3, 1024**2
GOOD = Slot("standby1", "physical", active=True, wal_status="reserved", kept_bytes=16 * MIB, safe_bytes=GIB)


def test_a_slot_in_use_is_fine() -> None:
    assert judge_slots([GOOD], where="db", limit=GIB) == ()
    assert judge_slots([], where="db", limit=None) == ()


@pytest.mark.parametrize(("changes", "severity", "words"), [
    ({"wal_status": "lost"}, Severity.CRITICAL, "has lost WAL that its consumer needs"),
    ({"wal_status": "unreserved"}, Severity.CRITICAL, "loses its WAL at the next checkpoint"),
    ({"active": False, "kept_bytes": 500 * MIB, "safe_bytes": 524 * MIB}, Severity.WARNING,
     "for which 500 MiB of WAL are kept; 524 MiB more may be written before it is dropped"),
    ({"active": False, "wal_status": None, "kept_bytes": None, "safe_bytes": None}, Severity.NOTE, "was never used"),
    ({"kept_bytes": 900 * MIB, "safe_bytes": 124 * MIB}, Severity.WARNING, "is 900 MiB behind"),
])
def test_what_is_wrong_is_named(changes: dict, severity: Severity, words: str) -> None:
    (concern,) = judge_slots([replace(GOOD, **changes)], where="db", limit=GIB)
    assert concern.severity is severity
    assert concern.cause == "slot standby1"
    assert words in concern.sentence


def test_a_slot_without_a_limit_that_would_fill_the_disk() -> None:
    idle = replace(GOOD, active=False, kept_bytes=2 * GIB, safe_bytes=None)
    slot, limit = judge_slots([idle], where="db", limit=None, free_bytes=GIB)
    assert (slot.severity, limit.severity) == (Severity.CRITICAL, Severity.WARNING)
    assert "max_slot_wal_keep_size is -1" in limit.sentence


def test_a_limit_beyond_the_disk() -> None:
    (concern,) = judge_slots([replace(GOOD, safe_bytes=9 * GIB)], where="db", limit=10 * GIB, free_bytes=GIB)
    assert "the disk of pg_wal has only 1,024 MiB free" in concern.sentence
