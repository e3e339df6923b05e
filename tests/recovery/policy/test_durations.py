"""Durations read as people write them, and back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.durations import parse_duration, parse_wait, print_duration, print_wait


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("4w", timedelta(weeks=4)),
        ("90s", timedelta(seconds=90)),
        ("0s", timedelta()),
        ("1w2d3h4m5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "15", "m", "1m1h", "1.5h", "-1h", "1 h", "1H", "15min", "1y", "99999w", "\N{ARABIC-INDIC DIGIT ONE}h"]
)
def test_anything_else_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=f"found {text!r}".replace(".", r"\.")):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=24), "24h"),
        (timedelta(hours=47, minutes=59), "47h59m"),
        (timedelta(days=2), "2d"),
        (timedelta(days=30), "30d"),
        (timedelta(seconds=60), "1m"),
        (timedelta(), "0s"),
        (timedelta(milliseconds=900), "0s"),
    ],
)
def test_a_duration_is_printed_as_objectives_are_written(duration: timedelta, text: str) -> None:
    assert print_duration(duration) == text


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        print_duration(timedelta(seconds=-1))


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36_525)))
def test_what_is_printed_reads_back(duration: timedelta) -> None:
    assert parse_duration(print_duration(duration)) == timedelta(seconds=int(duration.total_seconds()))


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("200ms", timedelta(milliseconds=200)),
        ("1s", timedelta(seconds=1)),
        ("1s500ms", timedelta(seconds=1.5)),
        ("1500ms", timedelta(seconds=1.5)),
        ("0s", timedelta()),
    ],
)
def test_a_short_wait_is_read(text: str, wait: timedelta) -> None:
    assert parse_wait(text) == wait


@pytest.mark.parametrize(
    "text", ["", "200", "ms", "1m", "500ms1s", "0.2s", "-1s", "1 s", "86401s", "86400s1ms", "1s\n"]
)
def test_any_other_wait_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="a short wait is") as caught:
        parse_wait(text)
    assert repr(text) in str(caught.value)


def test_a_negative_wait_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        print_wait(timedelta(milliseconds=-1))


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=1)))
def test_a_printed_wait_reads_back(wait: timedelta) -> None:
    assert parse_wait(print_wait(wait)) == wait - wait % timedelta(milliseconds=1)
