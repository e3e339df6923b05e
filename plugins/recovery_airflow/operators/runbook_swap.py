"""The end of a runbook: the restored copy takes the live database's place, under the interlock; nothing is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.recovery.errors import NotIdentical, Refused
from include.recovery.evidence.model import Outcome
from include.recovery.evidence.words import listed, plural, size
from include.recovery.postgres.swap import isolate, release, swap_database
from include.recovery.postgres.swap_table import replace_tables
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.questions import ask
from include.recovery.runbook.staging import drop_staging
from include.recovery.runbook.target import TargetFacts
from recovery_airflow.operators import runbook_cluster
from recovery_airflow.operators.runbook_restore import StagingStepOperator
from recovery_airflow.operators.runbook_step import PlannedStepOperator
from recovery_airflow.operators.step import RunFacts, now
from recovery_airflow.results import SwapResult, ValidationResult, keep

if TYPE_CHECKING:
    from airflow.sdk import Context


class SafeguardOperator(StagingStepOperator):
    """Says where what is there now will be kept, and refuses when that place is taken.

    The copy itself costs nothing: a database is renamed and not deleted; the rows of single tables are copied aside in
    the very transaction that replaces them.
    """

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        self.require_approval(plan, run)
        facts = self.facts(plan, planned, run)
        if not facts.occupied:
            return {"sentence": f"nothing to keep: {facts.database} holds nothing"}
        if planned.tables:
            return {"sentence": f"{listed(planned.tables)} will be kept in schema {planned.safety_copy}"}
        live = self.live(plan, run)
        with live.with_database("postgres").connect() as connection:
            taken = connection.execute(
                "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [planned.safety_copy]
            ).fetchone()
        if taken:
            raise Refused(
                f"{self.system}: the name {planned.safety_copy}, under which the present database has to be kept, is "
                "taken; clear the planning task to get another one"
            )
        return {"sentence": f"{facts.database} ({size(facts.size)}) will be kept as {planned.safety_copy}"}

    def of_cluster(
        self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
    ) -> dict[str, Any]:
        return runbook_cluster.safety_copy(self, plan, planned, run)


class SwapInOperator(StagingStepOperator):
    """Puts the proven copy in place of the live data, after the interlock has looked at the target once more.

    Whole databases change names; single tables change rows in one transaction. Tried again after a crash, it finds what
    is done already.
    """

    ui_color = "#f5c6c6"

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        folder = self.folder(run)
        live = self.live(plan, run)
        staging = self.staging(plan, planned, run)
        if planned.tables:
            facts = self.facts(plan, planned, run)
            clearance = self.require_clearance(plan, run, facts, baseline=facts)
            kept_as: str | None = planned.safety_copy
            replace_tables(
                live,
                staging,
                planned.tables,
                keep_schema=planned.safety_copy,
                expected=self.backup(planned).manifest.fingerprint,
            )
            drop_staging(staging)
        else:
            self.require_approval(plan, run)
            if self.facts(plan, planned, run).exists:
                isolate(live)  # an earlier try that failed has opened it again
            facts = self.facts(plan, planned, run)
            clearance = self.require_clearance(plan, run, facts, baseline=self.baseline(plan, run))
            done = swap_database(live, live=live.database, restored=staging.database, keep_as=planned.safety_copy)
            kept_as = done.kept_as
        self.log.info("%s", clearance)
        folder.mark(self.marker("swapped", plan, run), now(), {"safety_copy": kept_as})
        key = keep(
            self, context, run,
            SwapResult(source=self.source, seconds=self.seconds, safety_copy=kept_as, at=now()),
        )  # fmt: skip
        what = listed(planned.tables) if planned.tables else live.database
        return {
            "evidence": key,
            "sentence": f"{what} restored from {planned.backup}; what was there is kept as {kept_as or 'nothing'}",
        }

    def of_cluster(
        self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
    ) -> dict[str, Any]:
        return runbook_cluster.exchange(self, plan, planned, run, context)

    def baseline(self, plan: RecoveryPlan, run: RunFacts) -> TargetFacts | None:
        """What was found right after the target was isolated."""
        mark = self.folder(run).done(self.marker("isolated", plan, run))
        return TargetFacts.model_validate(mark.detail["facts"]) if mark else None


class ReopenOperator(PlannedStepOperator):
    """Lets the clients in again."""

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        if planned.tables:
            return {"sentence": "nothing to do: the database was never closed"}
        live = self.live(plan, run)
        release(live)
        return {"sentence": f"{live.database} takes sessions again"}

    def of_cluster(
        self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
    ) -> dict[str, Any]:
        return runbook_cluster.check_service(self, plan, planned, run)


class LoginCheckOperator(PlannedStepOperator):
    """Logs in as the system's own role and asks the system's own questions, now of the database that people use."""

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.policy_source
        server = self.live(plan, run) if plan.mode is Mode.REHEARSAL else self.workspace.server(source, role="backup")
        checks = ask(server, source.validation, source=source.name)
        keep(self, context, run, ValidationResult(source=self.source, seconds=self.seconds, checks=tuple(checks)))
        wrong = [f"{check.name}: found {check.found}" for check in checks if check.outcome is not Outcome.PASSED]
        if wrong:
            raise NotIdentical(
                f"{server.redacted} is in place and does not answer as expected: {'; '.join(wrong)}; "
                f"what was there before is kept as {planned.safety_copy}"
            )
        return {"sentence": f"{server.redacted} answers: {plural(len(checks), 'question')} as expected"}

    def of_cluster(
        self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
    ) -> dict[str, Any]:
        return runbook_cluster.log_in(self, plan, planned, run, context)
