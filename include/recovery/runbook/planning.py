"""From policy, recovery points, facts and history to a plan. Pure: whoever calls has looked at the world already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.recovery.catalog.model import Backup
from include.recovery.errors import PolicyError, Refused
from include.recovery.evidence.history import expected_duration
from include.recovery.evidence.model import DrillReport, IncidentReport
from include.recovery.policy.models import ProtectedSystem
from include.recovery.runbook.assess import Assessment, why_unusable
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.physical_plan import PhysicalRecovery
from include.recovery.runbook.plan import ApprovalRule, Expectation, Method, Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.safeguard import safety_database, safety_directory, safety_schema
from include.recovery.runbook.target import TargetFacts


@dataclass(frozen=True)
class Choice:
    """What was decided about one source.

    :param backup: the chosen recovery point.
    :param target: facts of the live database, taken now.
    :param tables: qualified names; empty means the whole database.
    :param passed_over: from ``Assessment.passed_over`` or the picker.
    :param method: how the source is recovered.
    :param recovery: to where the cluster's log is replayed; None for a dump.
    :param cluster: what was found of the whole cluster, when all of it is replaced.
    """

    source: str
    backup: Backup
    target: TargetFacts
    tables: tuple[str, ...] = ()
    store: str = "primary"
    passed_over: tuple[str, ...] = ()
    method: Method = "logical"
    recovery: PhysicalRecovery | None = None
    cluster: ClusterFacts | None = None

    @classmethod
    def of(
        cls,
        assessment: Assessment,
        backup: Backup,
        target: TargetFacts,
        *,
        tables: tuple[str, ...] = (),
        store: str = "primary",
    ) -> Choice:
        """A choice with the reasons for every newer point that is not taken."""
        return cls(assessment.source, backup, target, tables, store, assessment.passed_over(backup.manifest.id))


def draft_plan(
    system: ProtectedSystem,
    scenario: str,
    mode: Mode | str,
    choices: Sequence[Choice],
    *,
    run: str,
    requester: str | None,
    now: datetime,
    history: Sequence[DrillReport | IncidentReport] = (),
) -> RecoveryPlan:
    """The plan for one run.

    :param choices: one for each source, in the order of recovery.
    :param history: past reports of the system, newest last: the expected duration comes from them.
    :raises PolicyError: when the policy has no such scenario, or nobody holds the approving role.
    :raises Refused: when a chosen backup is damaged, or nothing was chosen.
    """
    rules = system.scenario(scenario)
    if not choices:
        raise Refused(f"{system.system}: there is nothing to recover, no source was chosen")
    approvers = system.people(rules.approval.role)
    if not approvers:
        raise PolicyError([f"{system.system}: nobody holds the role {rules.approval.role} that approves {scenario}"])
    seconds, basis = expected_duration(history, scenario)
    return RecoveryPlan(
        system=system.system,
        title=system.title,
        time_zone=system.time_zone,
        scenario=scenario,
        mode=Mode(mode),
        run=run,
        made_at=now,
        requester=requester,
        sources=tuple(_planned(system, choice, now) for choice in choices),
        approval=ApprovalRule(
            role=rules.approval.role,
            people=rules.approval.people,
            approvers=approvers,
            expires_seconds=rules.approval.expires.total_seconds(),
        ),
        expected=Expectation(seconds=seconds, basis=basis),
        rto_seconds=rules.rto.total_seconds(),
    )


def choose(assessments: Mapping[str, Assessment], backups: Sequence[Backup]) -> dict[str, Backup]:
    """The newest usable backup of each source, by source name; sources without one are left out."""
    by_id = {(b.manifest.source, b.manifest.id): b for b in backups}
    return {
        name: by_id[name, assessment.newest.backup]
        for name, assessment in assessments.items()
        if assessment.newest is not None
    }


def _planned(system: ProtectedSystem, choice: Choice, now: datetime) -> PlannedSource:
    manifest = choice.backup.manifest
    source = system.source(choice.source)
    reason = why_unusable(choice.backup, now)
    if reason:
        raise Refused(
            f"{system.system}/{choice.source}: backup {manifest.id} cannot be restored: {reason}; choose another"
        )
    target = choice.target
    kept_until = manifest.snapshot_at if choice.recovery is None else choice.recovery.kept_until
    loss = max(timedelta(), now - kept_until)
    return PlannedSource(
        source=choice.source,
        method=choice.method,
        kind=manifest.kind,
        backup=manifest.id,
        store=choice.store,
        snapshot_at=kept_until,
        level=choice.backup.level,
        proven_at=choice.backup.proven_at,
        tables=choice.tables,
        target=target,
        cluster=choice.cluster,
        safety_copy=_safety_copy(choice, now),
        loss_seconds=round(loss.total_seconds(), 3),
        rpo_seconds=system.rpo(source).total_seconds(),
        passed_over=choice.passed_over,
        recovery=choice.recovery,
    )


def _safety_copy(choice: Choice, now: datetime) -> str:
    """Under which name what is there now is kept."""
    if choice.cluster is not None:
        return safety_directory(choice.cluster.data_directory, now)
    return safety_schema(now) if choice.tables else safety_database(choice.target.database, now)
