"""What the planner is told, and what it decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from include.recovery.catalog.model import ProofLevel


@dataclass(frozen=True, slots=True)
class WalSpan:
    """The write-ahead log that a physical backup needs to become consistent.

    :param start: name of the first segment, 24 hexadecimal digits.
    :param stop: name of the last one.
    :param system: identifier of the cluster; segments of two clusters cannot be compared.
    """

    start: str
    stop: str
    system: str = ""

    def holds(self, segment: str, system: str) -> bool:
        """Whether a segment lies within, on whatever timeline: none is given up that might be the one."""
        return system == self.system and position(self.start) <= position(segment) <= position(self.stop)


@dataclass(frozen=True, slots=True)
class Row:
    """What decides about one backup in one store.

    :param taken_at: the moment whose data it holds.
    :param finished_at: when it was complete; it can be rolled forward to any later moment.
    :param parent: id of the backup (of the same kind) that it needs.
    :param level: how far this store's copy is proven.
    :param best: how far any copy is proven.
    :param in_use: who reads it right now; None when nobody does.
    :param wal: for physical backups.
    """

    id: str
    kind: str
    tier: str | None
    taken_at: datetime
    finished_at: datetime
    parent: str | None = None
    level: ProofLevel = ProofLevel.STORED
    best: ProofLevel = ProofLevel.STORED
    hold: bool = False
    damaged: bool = False
    in_use: str | None = None
    wal: WalSpan | None = None

    @property
    def key(self) -> str:
        """Its identity within the source."""
        return f"{self.kind}/{self.id}"

    @property
    def parent_key(self) -> str | None:
        """The identity of the one that it needs."""
        return None if self.parent is None else f"{self.kind}/{self.parent}"


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, and what it can be held against.

    :param now: what this machine says.
    :param store_now: what the store says; None when it was not asked.
    :param last_run: when retention last ran on this source and store; None when it never did.
    """

    now: datetime
    store_now: datetime | None = None
    last_run: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one backup.

    :param reasons: why, most important first; never empty.
    """

    row: Row
    keep: bool
    reasons: tuple[str, ...]

    @property
    def why(self) -> str:
        """The reasons as one text."""
        return "; ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class ContinuousWal:
    """Every segment of a cluster from here on stays, on all timelines.

    :param segment: the first.
    :param backup: key of the backup that it belongs to.
    :param full: key of the full backup that this one stands on; it is the same where that is full itself.
    :param since: the earliest moment that can be restored with it.
    """

    system: str
    segment: str
    backup: str
    full: str
    since: datetime


@dataclass(frozen=True, slots=True)
class WalPlan:
    """Which segments of the write-ahead log must stay.

    :param everything: nothing may be removed at all.
    :param continuous: from where all of it stays; one for each cluster that the window reaches into.
    :param spans: what kept backups need to become consistent.
    :param why: in words.
    """

    everything: bool
    continuous: tuple[ContinuousWal, ...] = ()
    spans: tuple[WalSpan, ...] = ()
    why: str = ""

    def needs(self, segment: str, system: str = "") -> bool:
        """Whether a segment must stay. One of a cluster that no backup knows always must."""
        if self.everything or system not in {span.system for span in self.spans}:
            return True
        if any(c.system == system and position(segment) >= position(c.segment) for c in self.continuous):
            return True
        return any(span.holds(segment, system) for span in self.spans)


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What becomes of every backup of one source in one store.

    :param decisions: newest backup first.
    :param refusal: why nothing at all may be removed now; None when the plan may be carried out.
    :param notes: what somebody should know, such as tiers that the policy no longer has.
    :param as_of: the moment from which ages were counted.
    """

    decisions: tuple[Decision, ...]
    wal: WalPlan
    as_of: datetime
    refusal: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[Decision, ...]:
        """Those that stay, newest first."""
        return tuple(decision for decision in self.decisions if decision.keep)

    @property
    def expired(self) -> tuple[Decision, ...]:
        """Those that go, in the order in which they must: dependants before what they need, else oldest first."""
        gone = {decision.row.key: decision for decision in self.decisions if not decision.keep}
        depths: dict[str, int] = {}
        for key in gone:
            line: dict[str, None] = {}
            at: str | None = key
            while at is not None and at in gone and at not in depths and at not in line:
                line[at] = None
                at = gone[at].row.parent_key
            depth = depths.get(at, -1) if at is not None else -1
            for name in reversed(line):
                depth += 1
                depths[name] = depth
        ordered = sorted(gone.values(), key=lambda d: (-depths[d.row.key], d.row.taken_at, d.row.key))
        return tuple(ordered)


def position(segment: str) -> str:
    """Where a segment lies in the log, whatever its timeline; positions go on counting across a promotion."""
    return segment[8:24].upper()


def by_time(rows: Iterable[Row]) -> list[Row]:
    """Newest first."""
    return sorted(rows, key=lambda row: (row.taken_at, row.finished_at, row.key), reverse=True)
