"""Names and arithmetic of WAL segments, positions (LSN) and timelines. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

SEGMENT_BYTES = 16 * 1024 * 1024
"""PostgreSQL's default; initdb may choose another."""

_NAME = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_HISTORY_LINE = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})")
_LOG_BYTES = 2**32


@dataclass(frozen=True, order=True)
class Segment:
    """One segment on one timeline.

    :param number: counted from the beginning of the log, whatever the timeline.
    """

    timeline: int
    number: int

    def name(self, size: int = SEGMENT_BYTES) -> str:
        """As PostgreSQL names its file."""
        per_log = _LOG_BYTES // size
        return f"{self.timeline:08X}{self.number // per_log:08X}{self.number % per_log:08X}"

    def start(self, size: int = SEGMENT_BYTES) -> int:
        """The position of its first byte."""
        return self.number * size


@dataclass(frozen=True)
class Switch:
    """Where a timeline was left for the next.

    :param timeline: the one that was left.
    :param position: the first one that is not on it.
    """

    timeline: int
    position: int


def segment_of_name(name: str, size: int = SEGMENT_BYTES) -> Segment:
    """The segment of a file's name.

    :raises ValueError: when it is no segment's.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a WAL segment, which has 24 hexadecimal digits")
    timeline, log, within = (int(name[first : first + 8], 16) for first in (0, 8, 16))
    per_log = _LOG_BYTES // size
    if timeline < 1 or within >= per_log:
        raise ValueError(f"{name!r} is no name of a WAL segment of {size} bytes")
    return Segment(timeline, log * per_log + within)


def segment_of_position(timeline: int, position: int, size: int = SEGMENT_BYTES) -> Segment:
    """The segment that holds the byte at a position."""
    return Segment(timeline, position // size)


def position_of(lsn: str) -> int:
    """An LSN such as ``0/3000028`` as a number.

    :raises ValueError: when it is malformed.
    """
    match = _LSN.fullmatch(lsn.strip())
    if match is None:
        raise ValueError(f"{lsn!r} is no LSN, which looks like 0/3000028")
    return int(match[1], 16) * _LOG_BYTES + int(match[2], 16)


def lsn_of(position: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{position // _LOG_BYTES:X}/{position % _LOG_BYTES:X}"


def switches_of(history: str) -> tuple[Switch, ...]:
    """The lines of a timeline's ``.history`` file, oldest first.

    :raises ValueError: when a line is malformed.
    """
    found = []
    for line in history.splitlines():
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        match = _HISTORY_LINE.match(text)
        if match is None:
            raise ValueError(f"{line!r} is no line of a timeline's history")
        found.append(Switch(int(match[1]), position_of(match[2])))
    return tuple(found)


@dataclass(frozen=True)
class Lineage:
    """How a timeline came to be: which one each part of the log is read from.

    :param switches: of its ancestors, oldest first.
    """

    timeline: int
    switches: tuple[Switch, ...] = ()

    def timeline_at(self, position: int) -> int:
        """The timeline that a position is on."""
        return next((switch.timeline for switch in self.switches if position < switch.position), self.timeline)

    def segment(self, number: int, size: int = SEGMENT_BYTES) -> Segment:
        """The segment to read: where a switch lies within one, the newer timeline's, which begins with a copy."""
        return Segment(self.timeline_at((number + 1) * size - 1), number)

    def has(self, timeline: int, position: int) -> bool:
        """Whether what happened at a position of a timeline is part of this one's past."""
        return self.timeline_at(max(0, position - 1)) == timeline
