"""What a plan says about each source, by the method that recovers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.words import duration, listed, moment, plural, size
from include.recovery.runbook.physical_plan import PhysicalRecovery

if TYPE_CHECKING:
    from datetime import datetime

    from include.recovery.runbook.plan import PlannedSource, RecoveryPlan


@dataclass(frozen=True)
class LogicalWords:
    """A dump is restored beside the live database."""

    plan: RecoveryPlan
    source: PlannedSource

    def overwritten(self) -> str:
        """What is there now, and gives way."""
        source, facts = self.source, self.source.target
        found = f"{size(facts.size)} in {plural(facts.tables, 'table')}" if facts.exists else "which does not exist now"
        written = f", last written {self.at(facts.last_write)}" if facts.last_write else ""
        live = f", {plural(len(facts.strangers), 'live session')}" if facts.exists else ""
        place = f"database `{facts.database}` on {facts.where} (system identifier {facts.system_identifier})"
        if source.tables:
            place = f"{listed([f'`{table}`' for table in source.tables])} in {place}"
        would = "would be: " if self.plan.mode == "rehearsal" else ""
        return f"{source.source}: {would}{place}: {found}{written}{live}"

    def restored(self) -> list[str]:
        """What takes its place."""
        source = self.source
        return [
            f"{source.source}: backup `{source.backup}` of {self.at(source.snapshot_at)}, in store {source.store}, "
            f"{self.proven()}"
        ]

    def kept(self) -> str:
        """Where what is there now can be found afterwards."""
        source = self.source
        if not source.target.occupied:
            return f"{source.source}: there is nothing to keep"
        if source.tables:
            where = f"schema `{source.safety_copy}` of the same database"
            return f"{source.source}: the rows that are there now, in {where}"
        return f"{source.source}: the database as it is now, renamed to `{source.safety_copy}`; nothing is deleted"

    def lost(self) -> list[str]:
        """What does not come back."""
        return [f"{self.source.source}: what was written after {self.at(self.source.snapshot_at)}, {self.how_much()}"]

    def how_much(self) -> str:
        """The loss in time, against its objective."""
        source = self.source
        return (
            f"{duration(source.loss_seconds)} when this plan was made"
            f"{against(source.loss_seconds, source.rpo_seconds)}, and what is still written until the database is "
            "isolated"
        )

    def proven(self) -> str:
        """How far the backup has been proven."""
        source = self.source
        how = "identical and validated" if source.level is ProofLevel.VALIDATED else source.level.value
        if source.proven_at:
            return f"proven {how} on {self.at(source.proven_at)}"
        return f"{source.level.value}, **never proven by a restore**"

    def at(self, at: datetime | None) -> str:
        """A moment in the system's own time zone."""
        return moment(at, self.plan.time_zone)


class PointInTimeWords(LogicalWords):
    """The cluster is recovered to a target on a scratch server, and its database copied from there."""

    @property
    def recovery(self) -> PhysicalRecovery:
        """To where."""
        assert self.source.recovery is not None
        return self.source.recovery

    def restored(self) -> list[str]:
        """The state that comes back, from what, and the way it takes."""
        source, to = self.source, self.recovery
        log = f"{plural(to.segments, 'segment')} of its log at most ({size(to.segments * to.segment_bytes)})"
        lines = [
            f"{source.source}: {to.words}: everything that was committed by {self.about()}{self.at(to.kept_until)}",
            f"{source.source}: by backup `{source.backup}` ({to.label}) of {self.at(to.based_at)}, in store "
            f"{source.store}, {self.proven()}, and {log}",
            self.way(),
        ]
        if to.known is not None:
            beat = f", heartbeat of {self.at(to.known.heartbeat_at)}" if to.known.heartbeat_at else ""
            lines.append(
                f"{source.source}: it reaches beyond {to.known.kind} recovery point {to.known.name} of "
                f"{self.at(to.known.at)}{beat}"
                if to.known.name != to.point
                else f"{source.source}: every row is compared with what that point recorded{beat}"
                if to.known.kind == "verifiable"
                else f"{source.source}: that point has no fingerprint; only its heartbeat is compared{beat}"
            )
        return lines

    def way(self) -> str:
        """How the data get to their place."""
        return (
            f"{self.source.source}: the whole cluster ({size(self.recovery.cluster_bytes)}) is recovered on a scratch "
            f"server first; database `{self.source.target.database}` is copied from there and compared row by row"
        )

    def lost(self) -> list[str]:
        """What was written behind the target; and how far the archive would have reached."""
        to, name = self.recovery, self.source.source
        lines = [
            f"{name}: what was written after {self.about()}{self.at(to.kept_until)}, {self.how_much()}",
            f"{name}: rows of unlogged tables, which no log brings back",
        ]
        if to.archived_until is not None:
            lines.append(
                f"{name}: for comparison, the log is archived without a gap until {self.at(to.archived_until)}, "
                f"LSN {to.archived_lsn}; what was written later is in no archive yet"
            )
        return lines

    def about(self) -> str:
        """A caveat before a moment that only the archive tells."""
        return "" if self.recovery.exact else "about "


class WholeClusterWords(PointInTimeWords):
    """The cluster is recovered beside the old one, on its own host, and takes its place."""

    def overwritten(self) -> str:
        """The cluster as it was found."""
        source, found = self.source, self.source.cluster
        assert found is not None
        would = "would be: " if self.plan.mode == "rehearsal" else ""
        written = f", last written {self.at(found.last_write)}" if found.last_write else ""
        return f"{source.source}: {would}the whole cluster {found.in_words()}{written}; **its server is stopped**"

    def kept(self) -> str:
        """Its directory."""
        source, found = self.source, self.source.cluster
        if found is None or not found.exists:
            return f"{source.source}: there is nothing to keep"
        return f"{source.source}: the directory as it is now, renamed to `{source.safety_copy}`; nothing is deleted"

    def how_much(self) -> str:
        """A server that is stopped in good order archives all it has: then the newest state loses nothing."""
        source, found = self.source, self.source.cluster
        if found is None or not found.answers or self.recovery.target != "newest":
            return super().how_much()
        return (
            f"{duration(source.loss_seconds)} at most when this plan was made"
            f"{against(source.loss_seconds, source.rpo_seconds)}: the server still answers, and archives its last "
            "segment when it is stopped in good order"
        )

    def way(self) -> str:
        """How the cluster gets to its place."""
        return (
            f"{self.source.source}: the whole cluster ({size(self.recovery.cluster_bytes)}) is restored beside the old "
            "one and checked there; then the two change places, and the server starts as its host starts it"
        )


WORDS: Mapping[str, type[LogicalWords]] = {
    "logical": LogicalWords,
    "point_in_time": PointInTimeWords,
    "whole_cluster": WholeClusterWords,
}
"""By the plan's method."""


def words_of(plan: RecoveryPlan, source: PlannedSource) -> LogicalWords:
    """What is said of one source."""
    return WORDS[source.method](plan, source)


def against(seconds: float, objective: float | None) -> str:
    """An objective beside what is measured against it."""
    if objective is None:
        return ""
    verdict = "objective" if seconds <= objective else "**over the objective of**"
    return f" ({verdict} {duration(objective)})"
