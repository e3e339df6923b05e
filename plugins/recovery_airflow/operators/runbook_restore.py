"""The middle of a runbook: room beside the live database, the restored copy in it, and the proof that it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import duration
from include.recovery.runbook.methods import method_of
from include.recovery.runbook.methods.port import Job
from include.recovery.runbook.plan import PlannedSource, RecoveryPlan
from include.recovery.runbook.safeguard import staging_database
from recovery_airflow.operators import runbook_cluster
from recovery_airflow.operators.runbook_step import PlannedStepOperator
from recovery_airflow.operators.step import RunFacts, TaskProgress, now
from recovery_airflow.operators.verification import keep_answers, keep_comparison
from recovery_airflow.results import RestoreResult, keep
from recovery_airflow.scratch import copy_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.postgres.server import PostgresServer


class StagingStepOperator(PlannedStepOperator):
    """A step about the restored copy that waits beside the live database until it is proven."""

    def staging(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> PostgresServer:
        """The restored copy's database: on the same server, under a name of its own that every try finds again.

        A whole cluster is restored as such: then it is the database where its clients will find it.
        """
        if planned.method == runbook_cluster.METHOD_NAME:
            return runbook_cluster.server_of(self, plan, planned, run)
        return self.live(plan, run).with_database(staging_database(planned.target.database, plan.made_at))

    def job(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> Job:
        """What the method of recovery works with."""
        return Job(
            self.workspace, plan, planned, self.staging(plan, planned, run), copy_folder(run, planned.source),
            run.info, self.stop, now, TaskProgress(self.log),
        )  # fmt: skip

    def why_not(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> str:
        return "the restored copy is in place already" if self.swapped(plan, run) else ""


class ProvisionOperator(StagingStepOperator):
    """Makes room: what an earlier try of this very run has left half restored is removed."""

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        self.require_approval(plan, run)
        return {"sentence": method_of(planned.method).make_room(self.job(plan, planned, run))}


class RunbookRestoreOperator(StagingStepOperator):
    """Makes the copy beside the live database, by the plan's method: all of it, or the planned tables."""

    ui_color = "#f8e3c1"

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        self.require_approval(plan, run)
        job = self.job(plan, planned, run)
        loaded = method_of(planned.method).restore(job)
        seconds = self.seconds
        result = RestoreResult(
            source=self.source, seconds=seconds, backup=planned.backup, store=planned.store,
            target=job.staging.redacted, stored_bytes=loaded.fetched,
        )  # fmt: skip
        key = keep(self, context, run, result)
        return {"evidence": key, "sentence": f"{loaded.sentence} in {duration(seconds)}"}


class RunbookCompareOperator(StagingStepOperator):
    """Compares every row of the copy with what it was made from: a backup's snapshot, or the recovered cluster."""

    ui_color = "#e6d9f5"

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        compared = method_of(planned.method).compare(self.job(plan, planned, run))
        return keep_comparison(self, context, run, planned.source, compared)


class RunbookValidateOperator(StagingStepOperator):
    """Asks the restored copy the system's own questions."""

    def why_not(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> str:
        if planned.tables:
            return "single tables alone cannot answer questions about the whole database"
        return super().why_not(plan, planned, run)

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        checks = method_of(planned.method).question(self.job(plan, planned, run))
        return keep_answers(self, context, run, planned.source, checks)
