"""Cron expressions, and the widest gap between their times on the wall clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.policy.cron import check_cron, widest_gap


@pytest.mark.parametrize("expression", ["0 2 * * 0", "*/15 * * * *", "30 2 1,15 jan-jun mon-fri", "0 0 29 2 *"])
def test_five_fields_are_a_schedule(expression: str) -> None:
    assert check_cron(expression) == expression


@pytest.mark.parametrize(
    "expression",
    ["", "0 2 * *", "0 2 * * 0 0", "@daily", "60 * * * *", "0 0 L * *", "0 0 * * 1#2", "H 2 * * *", "R 2 * * *",
     "0 0 ? * 1", "a b c d e"],
)  # fmt: skip
def test_anything_else_is_refused_by_its_text(expression: str) -> None:
    with pytest.raises(ValueError, match="a schedule is five fields") as caught:
        check_cron(expression)
    assert repr(expression) in str(caught.value)


@pytest.mark.parametrize(
    ("expressions", "gap"),
    [
        (["0 2 * * *"], timedelta(hours=24)),
        (["0 2 * * 0"], timedelta(days=7)),
        (["0 3 * * 1-6", "0 2 * * 0"], timedelta(hours=25)),
        (["0 9-17 * * *"], timedelta(hours=16)),
        (["0 3 * * 1-5"], timedelta(days=3)),
        (["0 0 1 * *"], timedelta(days=31)),
        (["0 0 31 * *"], timedelta(days=61)),
        (["0 0 29 2 *"], timedelta(days=1461)),
        (["0 0 1 * 1"], timedelta(days=7)),
        (["0 1 * * *", "30 * * * *"], timedelta(hours=1)),
        (["* * * * *"], timedelta(minutes=1)),
        (["0 0 30 2 *"], None),
        ([], None),
    ],
)
def test_the_widest_gap(expressions: list[str], gap: timedelta | None) -> None:
    assert widest_gap(expressions) == gap


FIELD_RANGES = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))


@st.composite
def schedules(draw: st.DrawFn) -> str:
    """Schedules that a generator of plain examples would not think of."""
    fields = []
    for low, high in FIELD_RANGES:
        several = st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True)
        step = st.integers(2, max(2, (high - low) // 2)).map(lambda n: f"*/{n}")
        texts = st.one_of(st.just("*"), several.map(lambda ns: ",".join(map(str, sorted(ns)))), step)
        fields.append(draw(texts))
    return " ".join(fields)


def gap_by_walking(expressions: list[str], start: datetime, end: datetime) -> timedelta | None:
    """The widest gap the slow way: all times of all schedules, sorted."""
    times: set[datetime] = set()
    for expression in expressions:
        walk = croniter(expression, start - timedelta(minutes=1), max_years_between_matches=10)
        while (at := walk.get_next(datetime)) < end:
            times.add(at)
    return max((after - before for before, after in pairwise(sorted(times))), default=None)


@settings(max_examples=15, deadline=None)
@given(st.lists(schedules(), min_size=1, max_size=3))
def test_weekly_patterns_agree_with_walking_every_time(expressions: list[str]) -> None:
    expressions = [" ".join([*cron.split()[:2], "*", "*", cron.split()[4]]) for cron in expressions]
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - the wall clock of no zone

    assert widest_gap(expressions) == gap_by_walking(expressions, start, start + timedelta(days=15))


@settings(max_examples=15, deadline=None)
@given(schedules())
def test_calendar_patterns_agree_with_walking_every_time(expression: str) -> None:
    minute, _, day, month, weekday = expression.split()
    rare = f"{minute.split(',')[0].replace('*', '0').split('/')[0]} 3 {day} {month} {weekday}"
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - the wall clock of no zone

    assert widest_gap([rare]) == gap_by_walking([rare], start, start + timedelta(days=8 * 366))


@settings(deadline=None)
@given(schedules(), schedules())
def test_one_more_schedule_never_widens_the_gap(one: str, other: str) -> None:
    alone, together = widest_gap([one]), widest_gap([one, other])

    assert alone is None or (together is not None and together <= alone)
