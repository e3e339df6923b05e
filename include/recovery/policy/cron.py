"""Cron expressions as Airflow reads them: when they last came due, and the widest gap between their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

ALLOWED = (
    "five fields (minute, hour, day of month, month, day of week) of numbers, names, '*', ',', '-' and '/', "
    "such as '0 2 * * 0'"
)

_FIRST_DAY = date(2024, 1, 1)
_WEEKS_ONLY_DAYS = 15
_CALENDAR_DAYS = 8 * 366
_MINUTES_OF_A_DAY = 24 * 60
_WIDEST_CHANGE = timedelta(hours=3)
"""No clock is set by more at once; a cron line is asked from so much later, and then gone back."""


def check_cron(expression: str) -> str:
    """The expression itself, when it is one.

    Refused besides nonsense: ``@daily`` and its like, seconds, and the characters ``L``, ``#``, ``?``, ``H`` and ``R``,
    on which cron implementations disagree.

    :raises ValueError: with what was found and what is allowed.
    """
    fields = expression.split()
    strange = [char for char in "#?@" if char in expression]
    if len(fields) != 5 or strange or any(field.upper().startswith(("L", "H", "R")) for field in fields):
        raise ValueError(f"found {expression!r}; a schedule is {ALLOWED}")
    try:
        croniter(expression)
    except (CroniterError, ValueError) as error:
        raise ValueError(f"found {expression!r} ({error}); a schedule is {ALLOWED}") from None
    return expression


@dataclass(frozen=True)
class _Schedule:
    """One expression, taken apart."""

    minutes_of_day: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    @classmethod
    def of(cls, expression: str) -> _Schedule:
        minutes, hours, days, months, weekdays = croniter(expression).expanded[:5]
        return cls(
            minutes_of_day=tuple(sorted(h * 60 + m for h in _values(hours, 24) for m in _values(minutes, 60))),
            days=_restriction(days),
            months=_restriction(months),
            weekdays=_restriction(weekdays),
        )

    @property
    def by_weeks_only(self) -> bool:
        return self.days is None and self.months is None

    def falls_on(self, day: date) -> bool:
        """Whether it runs on a day; a day of month and a day of week that are both given are alternatives."""
        if self.months is not None and day.month not in self.months:
            return False
        by_day = None if self.days is None else day.day in self.days
        by_weekday = None if self.weekdays is None else day.isoweekday() % 7 in self.weekdays
        if by_day is None or by_weekday is None:
            return by_day is not False and by_weekday is not False
        return by_day or by_weekday


def widest_gap(expressions: Sequence[str]) -> timedelta | None:
    """The longest time on the wall clock between two successive runs of a set of schedules taken together.

    Wall clock: a daily schedule has a gap of 24 hours, also in the night when the clocks change.

    :param expressions: each one valid.
    :return: None when they run less than twice in eight years.
    """
    schedules = [_Schedule.of(expression) for expression in expressions]
    span = _WEEKS_ONLY_DAYS if all(schedule.by_weeks_only for schedule in schedules) else _CALENDAR_DAYS
    widest, last = 0, None
    for number in range(span):
        day = _FIRST_DAY + timedelta(days=number)
        runs = _runs(tuple(schedule.minutes_of_day for schedule in schedules if schedule.falls_on(day)))
        if runs is None:
            continue
        midnight = number * _MINUTES_OF_A_DAY
        widest = max(widest, runs.widest, 0 if last is None else midnight + runs.first - last)
        last = midnight + runs.last
    return timedelta(minutes=widest) if widest else None


def last_due(expression: str, time_zone: str, at: datetime) -> datetime:
    """The last moment, not after another, at which Airflow's cron timetable starts a run.

    When the clocks go back, a time that is there twice runs once, at its second; a schedule of every hour runs in both
    hours. When they go forward, a time that is skipped runs as much later as was skipped.

    :param expression: a valid one.
    :param time_zone: an IANA name; the expression is read on its wall clock.
    :param at: aware.
    :return: UTC.
    """
    zone, at = ZoneInfo(time_zone), at.replace(microsecond=0)
    local = at.astimezone(zone).replace(tzinfo=None)
    every_hour = croniter(expression).expanded[1] == ["*"]
    times = croniter(expression, start_time=local + (timedelta(seconds=1) if every_hour else _WIDEST_CHANGE))
    if every_hour:
        # Counted back on the clock that does not jump: croniter knows none but the wall's.
        due = at - (local - times.get_prev(datetime))
        return due.astimezone(UTC)
    while True:
        due = _on_the_clock(times.get_prev(datetime), zone)
        if due <= at:
            return due


def _on_the_clock(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a time on the wall clock: the second one of two, and the shifted one where there is none."""
    moment = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


@dataclass(frozen=True)
class _Runs:
    """The runs of one day, in minutes since midnight: the first, the last, and the widest gap within."""

    first: int
    last: int
    widest: int


@lru_cache(maxsize=64)
def _runs(schedules: tuple[tuple[int, ...], ...]) -> _Runs | None:
    """The runs of a day on which some schedules fall; few different days make up all years."""
    minutes = sorted({minute for schedule in schedules for minute in schedule})
    if not minutes:
        return None
    return _Runs(minutes[0], minutes[-1], max((after - before for before, after in pairwise(minutes)), default=0))


def _values(field: Sequence[int | str], count: int) -> Sequence[int]:
    return range(count) if list(field) == ["*"] else [int(value) for value in field]


def _restriction(field: Sequence[int | str]) -> frozenset[int] | None:
    return None if list(field) == ["*"] else frozenset(int(value) for value in field)
