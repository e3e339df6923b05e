"""What people ask to restore: the newest state, a time, an LSN, a named point, a transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from include.recovery.errors import BackupNotFound

TargetKind = Literal["newest", "time", "lsn", "name", "xid"]

_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_ALLOWED = (
    "allowed are newest, a time such as '2026-11-21 07:00:05' or '2026-11-21T07:00:05Z', lsn:0/3000028, "
    "name:lifeboat_20261121T070000Z, xid:4711"
)


@dataclass(frozen=True)
class Target:
    """Where recovery stops.

    :param value: as pgBackRest takes it; empty for the newest state.
    :param at: the moment of the target, when it is known (a time's own, a named point's from its record).
    :param lsn: the position of the target, when it is known.
    :param timeline: which one to follow: ``latest``, ``current`` (the backup's own) or a number.
    :param inclusive: whether what happened exactly at the target comes back too.
    """

    kind: TargetKind
    value: str = ""
    at: datetime | None = None
    lsn: str | None = None
    timeline: str = "latest"
    inclusive: bool = True

    @classmethod
    def newest(cls, *, timeline: str = "latest") -> Target:
        """Everything that is archived."""
        return cls("newest", timeline=timeline)

    @classmethod
    def time(cls, at: datetime, *, timeline: str = "latest", inclusive: bool = True) -> Target:
        """The state at a moment.

        :raises ValueError: when the moment has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError(f"{at} has no time zone, so it is not a moment")
        value = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        return cls("time", value, at=at, timeline=timeline, inclusive=inclusive)

    @classmethod
    def position(cls, lsn: str, *, timeline: str = "latest", inclusive: bool = True) -> Target:
        """The state at a position of the write-ahead log."""
        return cls("lsn", lsn, lsn=lsn, timeline=timeline, inclusive=inclusive)

    @classmethod
    def point(
        cls, name: str, *, lsn: str | None = None, at: datetime | None = None, timeline: str = "latest"
    ) -> Target:
        """The state at a named restore point; its LSN or time is needed to know which backup reaches it."""
        return cls("name", name, at=at, lsn=lsn, timeline=timeline)

    @classmethod
    def transaction(
        cls, xid: int, *, at: datetime | None = None, timeline: str = "latest", inclusive: bool = True
    ) -> Target:
        """The state after (or just before) a transaction."""
        return cls("xid", str(xid), at=at, timeline=timeline, inclusive=inclusive)

    @property
    def in_words(self) -> str:
        """For messages."""
        what = {
            "newest": "the newest state",
            "time": f"time {self.value}",
            "lsn": f"LSN {self.value}",
            "name": f"restore point {self.value!r}",
            "xid": f"transaction {self.value}",
        }[self.kind]
        return what if self.timeline == "latest" else f"{what} on timeline {self.timeline}"


def parse_target(text: str, zone: str = "UTC") -> Target:
    """The target that a person typed.

    :param zone: the system's time zone, for a time without one.
    :raises BackupNotFound: when it is malformed, or names a local time that never was or was twice.
    """
    wish = text.strip()
    kind, _, value = wish.partition(":")
    value = value.strip()
    if wish == "newest":
        return Target.newest()
    if kind == "lsn" and _LSN.fullmatch(value):
        return Target.position(value.upper())
    if kind == "name" and value and len(value) < 64:
        return Target.point(value)
    if kind == "xid" and value.isdecimal():
        return Target.transaction(int(value))
    try:
        at = datetime.fromisoformat(wish)
    except ValueError:
        raise BackupNotFound(f"recovery target {text!r} is malformed; {_ALLOWED}") from None
    if at.tzinfo is None and len(wish) <= 10:
        raise BackupNotFound(f"recovery target {text!r} is a day and no moment; {_ALLOWED}")
    return Target.time(at if at.tzinfo is not None else _local(at, zone))


def _local(at: datetime, zone: str) -> datetime:
    """A wall-clock time in a zone, when it is exactly one moment."""
    early, late = (at.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        return early
    if early.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != at:
        raise BackupNotFound(
            f"recovery target {at} never was in {zone}: the clock was put forward over it; give the time with its "
            "offset, such as 2026-03-29T01:30:00+00:00"
        )
    raise BackupNotFound(
        f"recovery target {at} was twice in {zone}, when the clock was put back: "
        f"{early.isoformat()} and {late.isoformat()}; give one of these"
    )
