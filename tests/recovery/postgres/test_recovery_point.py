"""Making a point: names, pauses, and what an attempt learns from the one before."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.postgres.point_attempt import Tries
from include.recovery.postgres.recovery_point import backoff, point_name


def test_a_name_fits_the_server_and_is_never_given_twice() -> None:
    names = {point_name(attempt) for attempt in (1, 1, 2, 99)}
    assert len(names) == 4
    assert all(re.fullmatch(r"lifeboat_[0-9A-Za-z_]{1,54}", name) for name in names)


@given(failed=st.integers(1, 200), jitter=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_short_and_grows(failed: int, jitter: float) -> None:
    assert 0.125 <= backoff(failed, jitter) <= 12
    assert backoff(failed, jitter) <= backoff(failed + 1, jitter)


def test_attempts_keep_what_was_learned_and_each_reason_once() -> None:
    tries = Tries()
    tries.failed("public.b was in use", "{public.b}")
    tries.failed("public.a was in use", "{public.a,public.b}")
    tries.failed("tables were made")
    tries.failed("public.b was in use", "{public.b,public.a}")
    assert tries.busy == "{public.b,public.a}"
    assert tries.reasons == ["public.b was in use", "public.a was in use", "tables were made"]
