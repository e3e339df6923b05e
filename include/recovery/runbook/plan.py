"""The plan of a recovery: exactly what will be overwritten, from what, at what price. An approval names its digest."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.records import Instant, Record, digest
from include.recovery.evidence.words import duration, listed, moment, plural
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.physical_plan import PhysicalRecovery
from include.recovery.runbook.plan_words import against, words_of
from include.recovery.runbook.target import TargetFacts

Method = Literal["logical", "point_in_time", "whole_cluster"]
"""How a source is recovered: from a dump; from the cluster's backup and log, beside the live database; or as a whole
cluster in place."""


class Mode(StrEnum):
    """Whether a run practises on scratch targets or changes what people use."""

    REHEARSAL = "rehearsal"
    INCIDENT = "incident"


class PlannedSource(Record):
    """What happens to one source.

    :param method: how; the steps of the runbook and the words of the plan go by it.
    :param backup: id of the backup that is restored.
    :param store: where it is read from.
    :param snapshot_at: the moment of the data that come back.
    :param level: how far that backup had been proven when the plan was made.
    :param tables: qualified names; empty means the whole database.
    :param target: the live database as it was found when the plan was made.
    :param cluster: the whole cluster as it was found then; None unless all of it is replaced.
    :param safety_copy: where what is there now is kept: a database, or a schema when single tables are replaced.
    :param loss_seconds: age of the recovery point when the plan was made: what is written since then is lost.
    :param rpo_seconds: the objective for that loss.
    :param passed_over: newer backups that are not used, each with its reason.
    :param recovery: to where the log is replayed; None for a dump.
    """

    source: str
    method: Method = "logical"
    kind: str = "postgres"
    backup: str
    store: str = "primary"
    snapshot_at: Instant
    level: ProofLevel = ProofLevel.STORED
    proven_at: Instant | None = None
    tables: tuple[str, ...] = ()
    target: TargetFacts
    cluster: ClusterFacts | None = None
    safety_copy: str
    loss_seconds: float
    rpo_seconds: float | None = None
    passed_over: tuple[str, ...] = ()
    recovery: PhysicalRecovery | None = None

    @property
    def rows_known(self) -> bool:
        """Whether anything has recorded what the rows are that come back.

        A dump has its fingerprint, and a database is compared with the cluster that it was copied from. A cluster that
        takes the old one's place can be compared with a verifiable recovery point alone, which the newest state is not.
        """
        if self.method != "whole_cluster" or self.recovery is None:
            return True
        known = self.recovery.known
        return self.recovery.point is not None and known is not None and known.kind == "verifiable"


class Expectation(Record):
    """How long the recovery should take, and how that is known.

    :param seconds: None when there is no history to say so.
    :param basis: a clause, such as ``median of the last 5 rehearsals``.
    """

    seconds: float | None = None
    basis: str = "no drill or rehearsal has measured it yet"


class ApprovalRule(Record):
    """Who has to agree, as the policy said when the plan was made.

    :param people: how many different persons.
    :param approvers: the persons who hold the role.
    :param expires_seconds: how long an approval is good for.
    """

    role: str
    people: int = 1
    approvers: tuple[str, ...]
    expires_seconds: float = 1800.0

    @property
    def expires(self) -> timedelta:
        """How long an approval is good for."""
        return timedelta(seconds=self.expires_seconds)


class RecoveryPlan(Record):
    """A recovery, fixed before anything is touched.

    :param run: id of the run; approvals and markers are kept under it.
    :param requester: who asked for it, and so may not approve it; None for a schedule.
    :param time_zone: of the system, for the words.
    """

    schema_version: Literal[1] = 1
    system: str
    title: str
    time_zone: str = "UTC"
    scenario: str
    mode: Mode
    run: str
    made_at: Instant
    requester: str | None
    sources: tuple[PlannedSource, ...]
    approval: ApprovalRule
    expected: Expectation = Expectation()
    rto_seconds: float | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over the whole plan; any change makes it another plan."""
        return digest(self)

    @property
    def loss_seconds(self) -> float:
        """The worst loss of all sources."""
        return max((source.loss_seconds for source in self.sources), default=0.0)

    def source(self, name: str) -> PlannedSource | None:
        """What the plan says about a source; None when it does not touch it."""
        return next((source for source in self.sources if source.source == name), None)

    def in_words(self) -> str:
        """The plan as a short Markdown text for whoever has to decide at three in the morning."""
        said = [words_of(self, source) for source in self.sources]
        blocks = [
            self._heading(),
            _block("What will be overwritten", [words.overwritten() for words in said]),
            _block("What takes its place", [line for words in said for line in words.restored()]),
            _block("What is kept", [words.kept() for words in said]),
            _block("What is lost", [line for words in said for line in words.lost()]),
            _block("How long it takes", [self._long()]),
        ]
        passed_over = [f"{s.source}: {reason}" for s in self.sources for reason in s.passed_over]
        if passed_over:
            blocks.append(_block("Backups that were passed over", passed_over))
        blocks.append(_block("Who decides", [self._deciders()]))
        blocks.append(_block("If you reject", [self._rejected()]))
        return "\n\n".join(blocks) + "\n"

    def _heading(self) -> str:
        what = f"### Recover {self.title} ({self.system}): {self.scenario.replace('_', ' ')}"
        stakes = (
            "**Rehearsal.** Only a scratch server is written to; the live systems stay as they are."
            if self.mode is Mode.REHEARSAL
            else "**Incident. Live data will be replaced.**"
        )
        asked = f"Asked for by {self.requester or 'a schedule'} at {self._at(self.made_at)}, run `{self.run}`."
        return f"{what}\n\n{stakes} {asked}"

    def _long(self) -> str:
        if self.expected.seconds is None:
            objective = f"; the objective is {duration(self.rto_seconds)}" if self.rto_seconds is not None else ""
            return f"Not known: {self.expected.basis}{objective}"
        objective = against(self.expected.seconds, self.rto_seconds)
        return f"About {duration(self.expected.seconds)}, {self.expected.basis}{objective}"

    def _deciders(self) -> str:
        rule = self.approval
        if self.mode is Mode.REHEARSAL:
            return "Nobody: a rehearsal approves itself, and its approval is worth nothing in an incident"
        may = [person for person in rule.approvers if person != self.requester]
        requester = f"; not {self.requester}, who asked for it" if self.requester else ""
        return (
            f"{plural(rule.people, 'person', 'people')} with the role {rule.role.replace('_', ' ')}: "
            f"{listed(may, empty='**nobody else holds it**')}{requester}; "
            f"an approval holds for {duration(rule.expires_seconds)}"
        )

    def _rejected(self) -> str:
        return (
            "Nothing is touched: the live data stay as they are, the run ends red; a new run may propose another plan"
        )

    def _at(self, at: Instant | None) -> str:
        return moment(at, self.time_zone)


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)])
