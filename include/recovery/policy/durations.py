"""Durations as people write them: ``15m``, ``1h30m``, ``4w``; and short waits: ``200ms``."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
ALLOWED = "weeks, days, hours, minutes and seconds in this order, such as '15m', '1h30m', '30d' or '4w'"
WAIT_PATTERN = r"^([0-9]+s)?([0-9]+ms)?$"
WAIT_ALLOWED = "seconds and milliseconds in this order, such as '200ms', '1s' or '1s500ms'"

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DAYS_FROM = timedelta(days=2)
_LONGEST = timedelta(days=36_525)
_LONGEST_WAIT = timedelta(days=1)


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


def parse_wait(text: str) -> timedelta:
    """A short wait from its text, exact to the millisecond.

    :param text: such as ``200ms``.
    :raises ValueError: naming the text and what is allowed; also for more than a day.
    """
    match = re.fullmatch(WAIT_PATTERN, text, re.ASCII)
    if not text or match is None:
        raise ValueError(f"found {text!r}; a short wait is {WAIT_ALLOWED}")
    seconds, milliseconds = (int(re.sub("[ms]", "", piece or "0")) for piece in match.groups())
    if seconds + milliseconds / 1000 > _LONGEST_WAIT.total_seconds():
        raise ValueError(f"found {text!r}; a short wait is at most a day (86400s)")
    return timedelta(seconds=seconds, milliseconds=milliseconds)


def print_wait(wait: timedelta) -> str:
    """The text of a short wait, which parses back to it; fractions of a millisecond are dropped.

    :param wait: not negative.
    """
    rest = wait // timedelta(milliseconds=1)
    if rest < 0:
        raise ValueError(f"found a negative wait of {rest} milliseconds; a short wait is {WAIT_ALLOWED}")
    seconds, milliseconds = divmod(rest, 1000)
    pieces = (f"{seconds}s" if seconds else "") + (f"{milliseconds}ms" if milliseconds else "")
    return pieces or "0s"
