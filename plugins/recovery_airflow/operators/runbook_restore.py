"""The middle of a runbook: room beside the live database, the restored copy in it, and the proof that it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import duration, plural
from include.recovery.runbook.plan import PlannedSource, RecoveryPlan
from include.recovery.runbook.safeguard import staging_database
from include.recovery.runbook.staging import drop_staging
from include.recovery.sources import verbs
from recovery_airflow.operators.runbook_step import PlannedStepOperator
from recovery_airflow.operators.step import RunFacts, TaskProgress
from recovery_airflow.operators.verification import compare_copy, question_copy
from recovery_airflow.results import RestoreResult, keep

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.postgres.server import PostgresServer


class StagingStepOperator(PlannedStepOperator):
    """A step about the restored copy that waits beside the live database until it is proven."""

    def staging(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> PostgresServer:
        """The restored copy's database: on the same server, under a name of its own that every try finds again."""
        return self.live(plan, run).with_database(staging_database(planned.target.database, plan.made_at))

    def why_not(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> str:
        return "the restored copy is in place already" if self.swapped(plan, run) else ""


class ProvisionOperator(StagingStepOperator):
    """Makes room: what an earlier try of this very run has left half restored is removed."""

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        self.require_approval(plan, run)
        staging = self.staging(plan, planned, run)
        removed = drop_staging(staging)
        return {"sentence": f"{staging.database} is free{' again: an earlier try had left it' if removed else ''}"}


class RunbookRestoreOperator(StagingStepOperator):
    """Restores the planned backup, or the planned tables of it, beside the live database."""

    ui_color = "#f8e3c1"

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        self.require_approval(plan, run)
        staging = self.staging(plan, planned, run)
        backup = self.backup(planned)
        drop_staging(staging)
        restored = verbs(planned.kind).restore(
            self.workspace, backup, staging, store=planned.store, database=staging.database, tables=planned.tables,
            run=run.info, progress=TaskProgress(self.log), stop=self.stop,
        )  # fmt: skip
        seconds = self.seconds
        result = RestoreResult(
            source=self.source, seconds=seconds, backup=planned.backup, store=planned.store, target=staging.redacted,
            stored_bytes=restored.fetched,
        )  # fmt: skip
        key = keep(self, context, run, result)
        what = plural(len(planned.tables), "table") if planned.tables else "everything"
        return {
            "evidence": key,
            "sentence": f"{what} of backup {planned.backup} restored beside in {duration(seconds)}",
        }


class RunbookCompareOperator(StagingStepOperator):
    """Compares every restored row with the fingerprint of the backup's snapshot."""

    ui_color = "#e6d9f5"

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        staging = self.staging(plan, planned, run)
        return compare_copy(self, context, run, self.backup(planned), staging, tables=planned.tables)


class RunbookValidateOperator(StagingStepOperator):
    """Asks the restored copy the system's own questions."""

    def why_not(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> str:
        if planned.tables:
            return "single tables alone cannot answer questions about the whole database"
        return super().why_not(plan, planned, run)

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        staging = self.staging(plan, planned, run)
        return question_copy(self, context, run, self.backup(planned), staging)
