"""A copy against its recovery point: what counts, what does not, and what is never called identical."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.catalog.points import Heartbeat, RecoveryPoint
from include.recovery.fingerprint.model import (
    DatabaseFingerprint,
    NotCompared,
    SequenceFingerprint,
    TableFingerprint,
)
from include.recovery.postgres.point_proof import compared_by_fingerprint, compared_by_heartbeat
from include.recovery.postgres.recovery_point import ALL_ROWS, LARGE_OBJECTS_CHANGED, SEQUENCES

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
USERS = TableFingerprint(rows=2, digest="d", columns=("id",))
OBJECTS = TableFingerprint(rows=1, digest="o", columns=("content", "oid"))


def fingerprint(**more: Any) -> DatabaseFingerprint:
    facts: dict[str, Any] = {
        "server_version": "15.20", "tables": {"public.users": USERS}, "definitions": {"public": "p"},
        "sequences": {"public.s": SequenceFingerprint(last_value=10, is_called=True)}, "large_objects": OBJECTS,
        "roles": "r", "grants": "g", "extensions": {},
        "items": {"grants on large objects": "1", "grants on table public.users": "u"},
        "not_compared": (NotCompared(object="lifeboat.heartbeat", why="left out: it changes by itself"),),
    }  # fmt: skip
    return DatabaseFingerprint(**(facts | more))


def point(expected: DatabaseFingerprint | None, *not_compared: NotCompared) -> RecoveryPoint:
    return RecoveryPoint(
        system="labdojo", source="main-db", name="lifeboat_x", kind="verifiable" if expected else "heartbeat", at=NOON,
        lsn="0/1", timeline=1, system_identifier="7", waited_ms=1.5, attempts=1, fingerprint=expected,
        not_compared=not_compared, heartbeat=Heartbeat(beat=7, at=NOON - timedelta(seconds=20)),
    )  # fmt: skip


def test_an_equal_copy_is_identical_and_what_was_not_compared_is_named() -> None:
    found = compared_by_fingerprint(point(fingerprint(), SEQUENCES), fingerprint())
    assert found.identical
    assert [entry.object for entry in found.not_compared] == ["lifeboat.heartbeat", "sequences"]


@pytest.mark.parametrize(("position", "identical"), [(9, False), (10, True), (42, True)])
def test_a_sequence_may_be_ahead_and_never_behind(position: int, identical: bool) -> None:
    copy = fingerprint(sequences={"public.s": SequenceFingerprint(last_value=position, is_called=True)})
    assert compared_by_fingerprint(point(fingerprint(), SEQUENCES), copy).identical is identical


def test_rows_that_differ_are_found() -> None:
    copy = fingerprint(tables={"public.users": USERS.model_copy(update={"digest": "e"})})
    assert not compared_by_fingerprint(point(fingerprint()), copy).identical


def test_large_objects_count_when_they_were_unchanged_around_the_point() -> None:
    copy = fingerprint(large_objects=OBJECTS.model_copy(update={"digest": "other"}))
    assert not compared_by_fingerprint(point(fingerprint()), copy).identical


def test_large_objects_that_changed_are_not_compared_and_said_so() -> None:
    copy = fingerprint(
        large_objects=OBJECTS.model_copy(update={"rows": 9}), grants="g2",
        items={"grants on large objects": "9", "grants on table public.users": "u"},
    )
    found = compared_by_fingerprint(point(fingerprint(large_objects=None), LARGE_OBJECTS_CHANGED), copy)
    assert found.identical, found.differences
    assert LARGE_OBJECTS_CHANGED in found.not_compared


def test_other_grants_are_found_also_where_large_objects_are_not_compared() -> None:
    copy = fingerprint(grants="g2", items={"grants on large objects": "9", "grants on table public.users": "v"})
    found = compared_by_fingerprint(point(fingerprint(large_objects=None), LARGE_OBJECTS_CHANGED), copy)
    assert [difference.message for difference in found.differences] == [
        "grants on table public.users differ in the copy"
    ]


@pytest.mark.parametrize("beat", [7, 8])
def test_a_heartbeat_proves_how_far_a_copy_reaches_and_never_that_it_is_identical(beat: int) -> None:
    found = compared_by_heartbeat(point(None, ALL_ROWS), Heartbeat(beat=beat, at=NOON))
    assert not found.identical
    assert found.equal_as_far_as_compared
    assert found.verdict.startswith("no difference found, which is not the word identical: 0 rows in 0 tables; only")
    assert found.not_compared == (ALL_ROWS,)


@pytest.mark.parametrize("newest", [None, Heartbeat(beat=6, at=NOON - timedelta(seconds=80))])
def test_a_copy_that_ends_before_the_points_heartbeat_differs(newest: Heartbeat | None) -> None:
    found = compared_by_heartbeat(point(None), newest)
    assert not found.equal_as_far_as_compared
    assert "recovery point lifeboat_x was made after heartbeat 7 of 2026-11-21T11:59:40" in found.differences[0].message


def test_a_heartbeat_point_is_not_compared_by_fingerprint() -> None:
    with pytest.raises(ValueError, match="has no fingerprint"):
        compared_by_fingerprint(point(None), fingerprint())
