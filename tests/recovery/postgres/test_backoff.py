"""When a backup waits, and when it no longer does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.postgres.backoff import Load, advise
from include.recovery.postgres.replication_state import Replica
from tests.recovery.postgres.test_standby import MIB, PRIMARY, STANDBY, judged

MINUTE = timedelta(minutes=1)
BEHIND = replace(PRIMARY, replicas=(Replica("standby1", "streaming", "async", 600 * MIB, None),))


def test_nothing_in_the_way() -> None:
    assert advise(PRIMARY).start
    assert advise(PRIMARY).reasons == ()


def test_replicas_that_lag_and_sessions_that_queue() -> None:
    advice = advise(replace(BEHIND, queued=30, sessions=95, active=20), Load(active=10))
    assert advice.wait == MINUTE
    assert advice.reasons == (
        "replica standby1 is 400 MiB behind, 256 MiB are allowed", "30 sessions wait for locks, 10 are allowed",
        "95 of 97 connections are in use, 90% are allowed", "20 sessions are at work, 10 are allowed",
    )


def test_patience_ends_and_says_so() -> None:
    advice = advise(BEHIND, put_off=timedelta(hours=1))
    assert advice.start
    assert "256 MiB are allowed: it was put off long enough" in advice.in_words


def test_a_standby_that_is_unfit_is_not_read() -> None:
    advice = advise(PRIMARY, standby=judged(standby=replace(STANDBY, paused=True)))
    assert not advice.start
    assert "replay is paused" in advice.in_words


@given(st.timedeltas(timedelta(0), timedelta(hours=3)), st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_no_backup_is_put_off_beyond_its_patience(put_off: timedelta, patience: timedelta) -> None:
    advice = advise(BEHIND, Load(patience=patience), put_off=put_off)
    assert put_off + (advice.wait or timedelta(0)) <= max(patience, put_off)
    assert advice.wait is None or advice.wait > timedelta(0)
