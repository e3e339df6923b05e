"""The lines of a tier's ``keep``: what any line wants stays.

Days, weeks (Monday to Sunday), months and years are those of the system's own calendar, so a day of 23 or 25 hours is
one day. A line counts periods that have a backup: when backups stop, nothing goes merely because time passes. The
running period does not count against the number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import Keep
from include.recovery.retention.model import Row

Wanted = dict[str, list[str]]
"""Reasons by the key of the backup."""


def _week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


_PERIODS: tuple[tuple[str, str, Callable[[date], str]], ...] = (
    ("days", "day", lambda day: day.isoformat()),
    ("weeks", "week", _week),
    ("months", "month", lambda day: f"{day:%Y-%m}"),
    ("years", "year", lambda day: f"{day:%Y}"),
)


def wanted(rows: Sequence[Row], keep: Keep, *, tier: str, zone: ZoneInfo, now: datetime) -> Wanted:
    """Which backups of a tier its lines want, with the reasons.

    :param rows: of this tier, newest first.
    :param now: the moment from which ages count.
    """
    found: Wanted = {}
    for number, row in enumerate(rows[: keep.newest], 1):
        found.setdefault(row.key, []).append(f"number {number} of the newest {keep.newest} of {tier}")
    if keep.every:
        for row in rows:
            if now - row.taken_at < keep.every:
                found.setdefault(row.key, []).append(f"younger than {print_duration(keep.every)} ({tier})")
    days = [row.taken_at.astimezone(zone).date() for row in rows]
    today = now.astimezone(zone).date()
    for line, word, period in _PERIODS:
        count: int = getattr(keep, line)
        if count:
            _newest_of_each(found, rows, [period(day) for day in days], period(today), count, f"{word} {{}} ({tier})")
    return found


def _newest_of_each(
    found: Wanted, rows: Sequence[Row], periods: Sequence[str], running: str, count: int, words: str
) -> None:
    """Add the newest backup of each of so many periods, and that of the running one."""
    seen: set[str] = set()
    complete = 0
    for row, period in zip(rows, periods, strict=True):
        if period in seen:
            continue
        seen.add(period)
        if period != running:
            complete += 1
            if complete > count:
                return
        of = "the running " if period == running else ""
        found.setdefault(row.key, []).append(f"newest of {of}{words.format(period)}")


BY_HAND = timedelta(days=30)
"""How long a backup stays that somebody took by hand outside every tier; who wants it longer takes it with a hold."""


def wanted_by_hand(rows: Sequence[Row], now: datetime) -> Wanted:
    """The rule for backups without a tier: each stays for thirty days, and none counts against a tier's numbers."""
    return {
        row.key: [f"taken by hand, stays {print_duration(BY_HAND)}"] for row in rows if now - row.taken_at < BY_HAND
    }
