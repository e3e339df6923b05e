"""Durations as people write them: ``15m``, ``1h30m``, ``4w``."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
ALLOWED = "weeks, days, hours, minutes and seconds in this order, such as '15m', '1h30m', '30d' or '4w'"

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DAYS_FROM = timedelta(days=2)
_LONGEST = timedelta(days=36_525)


def parse_duration(text: str) -> timedelta:
    """A duration from its text.

    :param text: such as ``15m``; ``0s`` is nothing at all.
    :raises ValueError: naming the text and what is allowed; also for more than a hundred years.
    """
    if not text or not re.fullmatch(PATTERN, text):
        raise ValueError(f"found {text!r}; a duration is {ALLOWED}")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([wdhms])", text))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"found {text!r}; a duration is at most a hundred years (36525d)")
    return timedelta(seconds=seconds)


def print_duration(duration: timedelta) -> str:
    """The text of a duration, which parses back to it; fractions of a second are dropped.

    Up to two days it is in hours, as objectives are: ``24h``.

    :param duration: not negative.
    """
    rest = int(duration.total_seconds())
    if rest < 0:
        raise ValueError(f"found a negative duration of {rest} seconds; a duration is {ALLOWED}")
    pieces = []
    for unit in "dhms" if duration >= _DAYS_FROM else "hms":
        number, rest = divmod(rest, _SECONDS[unit])
        if number:
            pieces.append(f"{number}{unit}")
    return "".join(pieces) or "0s"
