"""What the steps of a runbook do when a whole cluster is replaced: its server stops, and its directory gives way.

Each function is one step for one source; the operators of the phases call them where the plan's method says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.recovery.errors import NotIdentical
from include.recovery.evidence.model import Outcome
from include.recovery.evidence.words import plural
from include.recovery.replacement.site import build_stand_in, live_site, stand_in
from include.recovery.runbook.cluster_interlock import check_cluster
from include.recovery.runbook.methods.port import Job
from include.recovery.runbook.methods.whole_cluster import METHOD
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.questions import ask
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, now
from recovery_airflow.results import SwapResult, ValidationResult, keep
from recovery_airflow.scratch import copy_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.postgres.server import PostgresServer
    from include.recovery.runbook.cluster_interlock import ClusterClearance, ScratchCluster
    from include.recovery.runbook.cluster_target import ClusterFacts
    from recovery_airflow.operators.runbook_step import PlannedStepOperator

METHOD_NAME = "whole_cluster"


def build(step: StepOperator, planned: PlannedSource, run: RunFacts, *, major: int) -> None:
    """Rehearsal: make the cluster that is replaced."""
    system = step.workspace.system(step.system)
    source = system.database(planned.source)
    superuser = step.workspace.cluster(source).user
    build_stand_in(copy_folder(run, planned.source), system.stanza(source), superuser=superuser, major=major)


def server_of(step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> PostgresServer:
    """The source's database where clients find it: in the live cluster, or in the stand-in of a rehearsal."""
    if plan.mode is Mode.REHEARSAL:
        site = stand_in(copy_folder(run, planned.source))
    else:
        site = live_site(step.workspace, step.policy_source)
    return site.server.with_database(planned.target.database)


def stop_server(step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> dict[str, Any]:
    """Isolate: nobody writes to the old cluster any more."""
    work = _Work(step, plan, planned, run)
    return {"sentence": METHOD.stop_server(work.job(), work.clear)}


def safety_copy(step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> dict[str, Any]:
    """Safeguard: where the old cluster will be kept."""
    step.require_approval(plan, run)
    return {"sentence": METHOD.safety_copy(_Work(step, plan, planned, run).job())}


def exchange(
    step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
) -> dict[str, Any]:
    """Resume: the new cluster takes the old one's place, and its server starts."""
    step.require_approval(plan, run)
    work = _Work(step, plan, planned, run)
    done = METHOD.exchange(work.job(), work.clear)
    step.log.info("%s", done.clearance or "the restored cluster was in its place already")
    step.folder(run).mark(step.marker("swapped", plan, run), now(), {"safety_copy": done.kept_as})
    result = SwapResult(source=step.source, seconds=step.seconds, safety_copy=done.kept_as, at=now())
    key = keep(step, context, run, result)
    return {
        "evidence": key,
        "sentence": f"the cluster of {planned.source} is that of {planned.backup}; what was there is kept as "
        f"{done.kept_as or 'nothing'}",
    }


def check_service(
    step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts
) -> dict[str, Any]:
    """Resume: every database lets its clients in, and WAL arrives on the new timeline."""
    return {"sentence": METHOD.check(_Work(step, plan, planned, run).job())}


def log_in(
    step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
) -> dict[str, Any]:
    """Validate: the system's own role logs in to the replaced cluster and asks the system's own questions."""
    source = step.policy_source
    live = step.workspace.server(source, role="backup")
    server = server_of(step, plan, planned, run) if plan.mode is Mode.REHEARSAL else live
    checks = ask(server, source.validation, source=source.name)
    keep(step, context, run, ValidationResult(source=step.source, seconds=step.seconds, checks=tuple(checks)))
    wrong = [f"{check.name}: found {check.found}" for check in checks if check.outcome is not Outcome.PASSED]
    if wrong:
        raise NotIdentical(
            f"{server.redacted} is in place and does not answer as expected: {'; '.join(wrong)}; what was there before "
            f"is kept as {planned.safety_copy}"
        )
    return {"sentence": f"{server.redacted} answers: {plural(len(checks), 'question')} as expected"}


class _Work:
    """One step's job, and the interlock over it."""

    def __init__(self, step: PlannedStepOperator, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> None:
        self.step, self.plan, self.planned, self.run = step, plan, planned, run

    def job(self) -> Job:
        """What the method works with."""
        step, run, planned = self.step, self.run, self.planned
        return Job(
            step.workspace, self.plan, planned, server_of(step, self.plan, planned, run),
            copy_folder(run, planned.source), run.info, step.stop, now, TaskProgress(step.log),
        )  # fmt: skip

    def clear(self, facts: ClusterFacts, scratch: ScratchCluster | None) -> ClusterClearance:
        """The interlock's word, with the approvals that are in the store now."""
        approvals = self.step.folder(self.run).approvals()
        return check_cluster(
            self.plan, self.planned, facts, approvals, scratch=scratch, **self.step.approval_facts(self.plan, self.run)
        )
