"""The reports of drills and incidents: what was done, when, how long it took, and what was found."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.records import Instant, Record
from include.recovery.fingerprint.model import Comparison


class Outcome(StrEnum):
    """How a phase or a check ended. What was skipped is never shown as passed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Phase(Record):
    """One phase of the runbook in the timeline.

    :param attempt: a phase that was tried again has one entry for each try; the last one counts.
    :param waited_seconds: part of it spent waiting for people, such as for an approval.
    """

    name: str
    outcome: Outcome
    started_at: Instant
    finished_at: Instant
    attempt: int = 1
    waited_seconds: float = 0.0
    note: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()


class Check(Record):
    """One named check with its raw output.

    :param required: whether a report without it, or with it skipped, has failed.
    :param expected: what had to come out, in words.
    :param found: what came out, in words; the reason when skipped.
    :param output: the raw output, for those who want to see for themselves.
    """

    name: str
    outcome: Outcome
    source: str | None = None
    required: bool = True
    expected: str = ""
    found: str = ""
    output: str = ""
    seconds: float | None = None


class Measured(Record):
    """A measured time against its objective.

    :param assumed: whether the objective is the owner's choice, because no document gives it.
    """

    seconds: float | None
    objective_seconds: float | None
    assumed: bool = False

    @property
    def met(self) -> bool | None:
        """None when it was not measured or there is no objective."""
        if self.seconds is None or self.objective_seconds is None:
            return None
        return self.seconds <= self.objective_seconds


class PointInTime(Record):
    """Where a recovery by base backup and WAL was aimed, and where it ended.

    :param to: where a recovery was aimed, in words; empty for a drill.
    :param point: name of the recovery point; empty when none was aimed at.
    :param base: pgBackRest's name of the backup that it began with.
    :param archive_age_seconds: from the arrival of the newest WAL that recovery gets to until the run began.
    :param point_loss_seconds: what going back to the point would have cost at most, by its heartbeat.
    :param second: a random one, that a second recovery was aimed at; ``second_base`` is the backup of that one.
    :param second_loss_seconds: from the newest heartbeat in that copy to the second.
    :param notes: points and backups that were passed over, and why the window is short.
    """

    to: str = ""
    point: str = ""
    base: str = ""
    archive_age_seconds: float | None = None
    point_loss_seconds: float | None = None
    second: Instant | None = None
    second_base: str = ""
    second_loss_seconds: float | None = None
    notes: tuple[str, ...] = ()


class SourceEvidence(Record):
    """What was restored of one source, and how far that proves its backup.

    :param level: what this run proved.
    :param required_level: what it had to prove.
    :param comparison: of every row with the fingerprint taken in the backup's own snapshot; None when not compared.
    :param restore_seconds: of the restore alone, without comparing.
    :param stored_bytes: bytes that were read from the store.
    :param rpo: age of the recovery point when the run began; of a cluster, of the newest WAL that recovery gets to.
    :param point_in_time: None for a backup that no WAL rolls forward.
    """

    source: str
    kind: str
    backup: str
    store: str
    snapshot_at: Instant
    tables: tuple[str, ...] = ()
    target: str = ""
    safety_copy: str | None = None
    level: ProofLevel
    required_level: ProofLevel = ProofLevel.IDENTICAL
    comparison: Comparison | None = None
    restore_seconds: float | None = None
    compare_seconds: float | None = None
    stored_bytes: int = 0
    restored_bytes: int = 0
    rpo: Measured = Measured(seconds=None, objective_seconds=None)
    point_in_time: PointInTime | None = None


class Approver(Record):
    """Who approved or rejected, and when."""

    person: str
    role: str
    decision: str
    at: Instant
    via: str


class Report(Record):
    """What drills and incidents have in common.

    :param run: id of the run; a run leaves one report, and a repeated one a further attempt.
    :param url: of the run in the web UI.
    :param expected_phases: every phase that had to be run; one that is missing has failed.
    :param profile: of the server that was restored to: only ``production`` settings say how long an incident takes.
    :param rto: measured from the run's start to its end without the waiting for people.
    :param versions: of the tools and servers.
    :param fixed: digests of what the run depended on (graph, policy, targets), so that changes since show.
    """

    schema_version: Literal[1] = 1
    system: str
    title: str
    time_zone: str = "UTC"
    run: str
    url: str | None = None
    attempt: int = 1
    started_by: str
    started_at: Instant
    finished_at: Instant
    profile: Literal["drill", "stock", "production"] = "drill"
    expected_phases: tuple[str, ...] = ()
    phases: tuple[Phase, ...]
    sources: tuple[SourceEvidence, ...] = ()
    checks: tuple[Check, ...] = ()
    rto: Measured = Measured(seconds=None, objective_seconds=None)
    versions: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, str] = Field(default_factory=dict)
    lessons: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """From start to end."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def waited_seconds(self) -> float:
        """Spent waiting for people."""
        return sum(phase.waited_seconds for phase in self.phases)

    @property
    def restore_seconds(self) -> float | None:
        """The restore phase as it was measured, or else the longest restore of a source."""
        last = {phase.name: phase for phase in self.phases}.get("restore")
        if last is not None and last.outcome is Outcome.PASSED:
            return last.seconds
        return max((s.restore_seconds for s in self.sources if s.restore_seconds is not None), default=None)


class DrillReport(Report):
    """A scheduled drill.

    :param drill: its name in the policy, such as ``weekly``.
    """

    type: Literal["drill"] = "drill"
    drill: str

    @property
    def name(self) -> str:
        """What was run, for people."""
        return f"{self.drill} drill"


class IncidentReport(Report):
    """A run of the runbook, as a rehearsal or in earnest.

    :param plan: digest of the plan; ``plan_in_words`` is what the approvers read.
    """

    type: Literal["incident"] = "incident"
    scenario: str
    mode: Literal["rehearsal", "incident"]
    requester: str | None = None
    plan: str | None = None
    plan_in_words: str = ""
    approvals: tuple[Approver, ...] = ()

    @property
    def name(self) -> str:
        """What was run, for people."""
        scenario = self.scenario.replace("_", " ")
        return f"rehearsal of {scenario}" if self.mode == "rehearsal" else f"incident: {scenario}"


AnyReport = Annotated[DrillReport | IncidentReport, Field(discriminator="type")]
REPORTS: TypeAdapter[DrillReport | IncidentReport] = TypeAdapter(AnyReport)
"""Reads either kind from JSON."""
