"""What somebody asked for, as a recovery target: a moment, an LSN, a recovery point, the newest state.

newest point                               the newest verifiable recovery point
newest point before 2026-11-21T08:00Z      ... of that moment or older
lifeboat_20261121T070003Z_5fb0             exactly this recovery point, with or without ``name:`` before it
2026-11-21 14:03:07                        that second, in the system's own time zone; better with its offset or Z
lsn:0/3000028                              that position of the write-ahead log
newest                                     everything that is archived
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.target import Target, parse_target

ALLOWED = (
    "allowed are a time such as 2026-11-21T14:03:07+01:00, lsn:0/3000028, the name of a recovery point, "
    "'newest point', 'newest point before <time with zone>', or newest"
)


@dataclass(frozen=True)
class Aim:
    """Where a recovery is to end.

    :param point: the recovery point that was asked for; None when it was something else.
    """

    target: Target
    point: RecoveryPoint | None = None

    @classmethod
    def at(cls, point: RecoveryPoint) -> Aim:
        """At a recovery point."""
        return cls(Target.point(point.name, lsn=point.lsn, at=point.at), point)


def aim(points: RecoveryPoints, system: str, source: str, wish: str, *, zone: str, now: datetime) -> Aim:
    """Where a wish aims.

    :param points: of the store that is to be restored from.
    :param zone: the system's, for a time without an offset.
    :raises BackupNotFound: when it is malformed, names a backup or a point that is not there, or a local time that
        never was or was twice.
    """
    text = " ".join(wish.split())
    if text == "newest":
        return Aim(Target.newest())
    if text.startswith("newest point"):
        return Aim.at(points.pick(system, source, text, now))
    if text.startswith("newest"):
        raise BackupNotFound(f"{wish!r} names a dump, and this is a recovery of the cluster to a moment; {ALLOWED}")
    name = text.removeprefix("name:").strip()
    if any(entry.name == name for entry in points.listed(system, source)):
        return Aim.at(points.pick(system, source, name, now))
    try:
        target = parse_target(text, zone)
    except BackupNotFound as error:
        # The tool's own list of what is allowed has kinds of targets of which nobody can say what they would lose.
        if "malformed" in str(error):
            raise BackupNotFound(f"recovery target {wish!r} is malformed; {ALLOWED}") from None
        raise
    if target.kind == "name":
        raise BackupNotFound(f"{system}/{source} has no recovery point {name!r}; {ALLOWED}")
    if target.kind == "xid":
        raise BackupNotFound(
            f"recovery target {wish!r} is a transaction, and nobody can say beforehand when it happened; {ALLOWED}"
        )
    return Aim(target)
