"""What a plan says about a recovery from the cluster's backup and its log: to where, from what, what is kept. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from include.recovery.evidence.records import Instant, Record
from include.recovery.pgbackrest.choose import Choice
from include.recovery.pgbackrest.segments import Lineage, lsn_of, position_of, segment_of_name
from include.recovery.pgbackrest.target import Target, parse_target
from include.recovery.pgbackrest.wal import Archive
from include.recovery.runbook.aim import Aim


class KnownMoment(Record):
    """A recovery point that the recovery certainly reaches: the newest one that is not behind its target.

    :param heartbeat_at: of the newest heartbeat that it knew of.
    """

    name: str
    kind: str
    at: Instant
    heartbeat_at: Instant | None = None


class PhysicalRecovery(Record):
    """How a source is recovered from its cluster's backup.

    :param label: pgBackRest's name of the backup to begin with.
    :param target: as ``goal`` reads it.
    :param words: the target for people.
    :param point: the recovery point that is the target; None when it is something else.
    :param at: the target's moment, and ``lsn`` its position, where they are known.
    :param based_at: when the backup ended.
    :param kept_until: what was committed by then comes back.
    :param exact: whether that moment is the target's own; else it is told by when the log arrived in the store.
    :param known: the newest recovery point that is certainly reached.
    :param archived_until: when the newest segment arrived that recovery gets to, and ``archived_lsn`` its end.
    :param segments: of the log, that will be replayed at most, each of ``segment_bytes``.
    :param cluster_bytes: of the whole cluster, which all comes back.
    """

    label: str
    target: str
    words: str
    point: str | None = None
    at: Instant | None = None
    lsn: str | None = None
    based_at: Instant
    kept_until: Instant
    exact: bool = True
    known: KnownMoment | None = None
    archived_until: Instant | None = None
    archived_lsn: str | None = None
    segments: int = 0
    segment_bytes: int = 16 * 1024 * 1024
    cluster_bytes: int = 0

    def goal(self) -> Target:
        """Where recovery stops."""
        found = parse_target(self.target)
        return replace(found, at=found.at or self.at, lsn=found.lsn or self.lsn)


def physical_recovery(
    aimed: Aim, choice: Choice, archive: Archive, lineage: Lineage, *, known: KnownMoment | None, now: datetime
) -> PhysicalRecovery:
    """The recovery that a choice makes, with what it keeps and loses.

    :param choice: how the target is reached.
    :param known: the newest recovery point up to the target.
    """
    target, backup, size = aimed.target, choice.backup, archive.segment_bytes
    reached = choice.reach.last
    ends = None if reached is None else reached.number
    last = _last_segment(target, archive, lineage, ends)
    archived_until = None if ends is None else _arrived(archive, lineage, ends)
    kept = target.at
    if kept is None:
        # What was committed by then had been written when the segment with it arrived.
        kept = (None if last is None else _arrived(archive, lineage, last)) or backup.stopped_at
    first = segment_of_name(backup.wal_start, size).number
    return PhysicalRecovery(
        label=backup.label,
        target=_text(target),
        words=_words(aimed),
        point=None if aimed.point is None else aimed.point.name,
        at=target.at,
        lsn=target.lsn,
        based_at=backup.stopped_at,
        kept_until=min(kept, now),
        exact=target.at is not None,
        known=known,
        archived_until=archived_until,
        archived_lsn=None if ends is None else lsn_of((ends + 1) * size),
        segments=0 if last is None else max(0, last - first + 1),
        segment_bytes=size,
        cluster_bytes=backup.size,
    )


def _last_segment(target: Target, archive: Archive, lineage: Lineage, ends: int | None) -> int | None:
    """The number of the last segment that has to be replayed, as far as a listing tells."""
    if ends is None:
        return None
    if target.lsn is not None:
        return min(ends, max(0, position_of(target.lsn) - 1) // archive.segment_bytes)
    if target.at is None:
        return ends
    # The first segment that arrived after a moment holds it, or begins behind it.
    later = [
        segment.number
        for segment, files in archive.segments.items()
        if lineage.segment(segment.number, archive.segment_bytes) == segment
        and max(file.modified for file in files) >= target.at
    ]
    return min([ends, *later])


def _arrived(archive: Archive, lineage: Lineage, number: int) -> datetime | None:
    files = archive.segments.get(lineage.segment(number, archive.segment_bytes), ())
    return max((file.modified for file in files), default=None)


def _text(target: Target) -> str:
    if target.kind == "time" and target.at is not None:
        return target.at.isoformat()
    return "newest" if target.kind == "newest" else f"{target.kind}:{target.value}"


def _words(aimed: Aim) -> str:
    if aimed.point is not None:
        return f"{aimed.point.kind} recovery point {aimed.point.name}"
    others = {"time": "that second", "lsn": f"LSN {aimed.target.value}"}
    return others.get(aimed.target.kind, "the newest archived state")
