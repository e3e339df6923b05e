"""Whether the time can be believed. A clock that is wrong must not cost a single backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from include.recovery.evidence.words import duration, moment
from include.recovery.retention.model import Clock, Row

STORE_TOLERANCE = timedelta(minutes=15)
"""How far this machine's clock and the store's may be apart."""

LONGEST_PAUSE = timedelta(days=8)
"""Retention runs daily. After a longer pause the first run removes nothing: either it was stopped, or time jumped."""

PATIENCE = timedelta(days=8)
"""Ages go on counting this long after the newest backup, and then stand still until there is a new one."""


def check_zones(clock: Clock, rows: Sequence[Row]) -> None:
    """Refuse moments without a time zone.

    :raises ValueError: naming the first.
    """
    moments = (at for row in rows for at in (row.taken_at, row.finished_at))
    for at in (clock.now, clock.store_now, clock.last_run, *moments):
        if at is not None and at.tzinfo is None:
            raise ValueError(f"found {at!r} without a time zone; retention only takes moments that have one")


def refusal(clock: Clock, rows: Sequence[Row], zone: str) -> str | None:
    """Why nothing may be removed by this clock; None when it is believable.

    :param zone: the system's time zone, for the sentence.
    """
    now = clock.now
    newest = max(rows, key=_last, default=None)
    if newest is not None and _last(newest) > now:
        return (
            f"the clock says {moment(now, zone)}, and backup {newest.id} is from {moment(_last(newest), zone)}: "
            "the clock is behind now, or was ahead then; nothing is removed until that moment has passed"
        )
    if clock.last_run is not None and clock.last_run > now:
        return (
            f"the clock says {moment(now, zone)}, and retention last ran at {moment(clock.last_run, zone)}: "
            "the clock went back; nothing is removed until it is right"
        )
    if clock.store_now is not None and abs(clock.store_now - now) > STORE_TOLERANCE:
        return (
            f"the clock says {moment(now, zone)}, and the store says {moment(clock.store_now, zone)}: "
            "one of them is wrong; nothing is removed until they agree"
        )
    if clock.last_run is not None and now - clock.last_run > LONGEST_PAUSE:
        return (
            f"retention last ran {duration(now - clock.last_run)} ago, at {moment(clock.last_run, zone)}: "
            "it was stopped, or the clock has jumped ahead; nothing is removed this time; if the clock is right, "
            "run it again"
        )
    return None


def as_of(now: datetime, rows: Sequence[Row]) -> datetime:
    """The moment from which ages count: now, unless no new backup has come for long.

    So backups do not expire one by one while nothing new takes their place, nor because a clock ran ahead.
    """
    newest = max((row.taken_at for row in rows if not row.damaged), default=None)
    return now if newest is None else min(now, newest + PATIENCE)


def _last(row: Row) -> datetime:
    return max(row.taken_at, row.finished_at)
