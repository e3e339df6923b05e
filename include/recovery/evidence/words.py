"""Durations, sizes and moments for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_UNITS = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s"))


def duration(seconds: float | timedelta | None) -> str:
    """Two units at most: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``1 h 5 min``, ``2 d 3 h``; ``unknown`` for None."""
    if seconds is None:
        return "unknown"
    value = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if value < 0:
        return f"-{duration(-value)}"
    if value < 10:
        return f"{value:.1f}".removesuffix(".0") + " s"
    whole = round(value)
    for unit, name, lower, lower_name in _UNITS:
        if whole >= unit:
            rest = (whole % unit) // lower
            return f"{whole // unit} {name}" + (f" {rest} {lower_name}" if rest else "")
    return f"{whole} s"


def size(count: int) -> str:
    """Bytes in the largest fitting binary unit: ``512 B``, ``3.4 MiB``, ``120 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            text = f"{value:.0f}" if unit == "B" or value >= 100 else f"{value:.1f}"
            return f"{text} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def moment(at: datetime | None, zone: str = "UTC") -> str:
    """A moment in a system's own time zone, named: ``2026-11-21 09:57:00 CET``; ``never`` for None."""
    if at is None:
        return "never"
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 table``, ``3 tables``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(items: tuple[str, ...] | list[str], *, empty: str = "none", most: int = 8) -> str:
    """Items with commas, the last with "and"; long lists end in "and 12 more"."""
    if not items:
        return empty
    shown = list(items[:most])
    if len(items) > most:
        return ", ".join(shown) + f" and {len(items) - most} more"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
