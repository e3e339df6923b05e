"""The phases of a runbook up to the point where something changes: declare, assess, stage, isolate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery import messages
from include.recovery.catalog.in_use import mark
from include.recovery.errors import PolicyError
from include.recovery.evidence.history import read_reports
from include.recovery.evidence.words import duration, plural
from include.recovery.postgres.scratch import ScratchServer, version_needed
from include.recovery.postgres.swap import isolate
from include.recovery.runbook.methods import method_for
from include.recovery.runbook.methods.port import Wanted
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.planning import draft_plan
from include.recovery.runbook.stand_in import build_stand_in
from recovery_airflow.notifications.slack_alerts import send_notice
from recovery_airflow.operators import runbook_cluster
from recovery_airflow.operators.runbook_step import PlannedStepOperator
from recovery_airflow.operators.step import RunFacts, StepOperator, now
from recovery_airflow.plans import read_plan
from recovery_airflow.scratch import copy_folder, scratch_folder
from recovery_airflow.trigger_form import Field

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeclareOperator(StepOperator):
    """Opens the incident: checks what was asked for, starts the clock, tells the team.

    :param scenario: a scenario of the policy.
    :param mode: ``rehearsal`` or ``incident``.
    :param reason: what was seen.
    """

    template_fields: Sequence[str] = ("system", "scenario", "mode", "reason")
    required = ("system", "scenario", "mode")

    def __init__(self, *, scenario: str, mode: str, reason: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.mode = mode
        self.reason = reason

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        scenario = system.scenario(self.scenario)
        if self.scenario == "table_corruption" and not context["params"][Field.TABLES]:
            raise PolicyError(
                [f"{self.system}: table corruption needs the names of the tables; trigger again with one per line"]
            )
        said = None if self.reason in {None, "", "None"} else self.reason
        title = f"{Mode(self.mode).value} declared: {self.scenario.replace('_', ' ')}"
        send_notice(
            self.workspace,
            messages.notice(
                system=system.title,
                title=title,
                summary=said or "",
                facts={"Started by": run.started_by, "RTO": scenario.in_words()},
                url=run.url,
            ),
            self.log,
        )
        return {"incident": run.run_key, "sentence": f"{title} by {run.started_by}{f': {said}' if said else ''}"}


class PlanRecoveryOperator(StepOperator):
    """Finds out which recovery points exist and what each would lose, chooses, and fixes the plan to be approved.

    :param scenario: a scenario of the policy.
    :param mode: ``rehearsal`` or ``incident``.
    :param wish: which recovery point.
    """

    template_fields: Sequence[str] = ("system", "scenario", "mode", "wish")
    required = ("system", "scenario", "mode", "wish")

    def __init__(self, *, scenario: str, mode: str, wish: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.mode = mode
        self.wish = wish

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        tables = tuple(context["params"][Field.TABLES]) if self.scenario == "table_corruption" else ()
        method = method_for(self.scenario)
        choices = [
            method.choose(Wanted(self.workspace, system, source, self.wish, tables, now, self.log.info))
            for source in system.databases
            if method.concerns(source)
        ]
        plan = draft_plan(
            system,
            self.scenario,
            self.mode,
            choices,
            run=run.run_key,
            requester=run.requester,
            now=now(),
            history=read_reports(self.workspace.store("primary"), self.system),
        )
        plan = self.folder(run).save_plan(plan)
        for choice in choices:  # approving may take a while, and what is approved must still be there
            mark(self.workspace.store(choice.store), choice.backup.manifest, run.run_key)
        self.log.info("%s", plan.in_words())
        lost = f"loses what was written in the last {duration(plan.loss_seconds)}"
        return {"digest": plan.digest, "sentence": f"plan {plan.digest[:12]}: {self.wish}, {lost}"}


class BuildStandInOperator(StepOperator):
    """Rehearsal: starts a scratch server and puts a damaged stand-in there for every database that the plan replaces.

    :param plan: what the planning task returned.
    """

    template_fields: Sequence[str] = ("system", "plan")

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        plan = read_plan(self.folder(run), self.plan)
        if plan.mode is Mode.INCIDENT:
            return {"sentence": "nothing to do: an incident works on the live servers"}
        server = ScratchServer.start(scratch_folder(run), "stock", major=self.version(plan))
        for planned in plan.sources:
            if planned.method == runbook_cluster.METHOD_NAME:
                runbook_cluster.build(self, planned, run, major=self.version(plan))
                continue
            database = server.server(planned.target.database)
            build_stand_in(self.workspace, plan, planned, database, run=run.info, stop=self.stop)
        damaged = plural(len(plan.sources), "damaged stand-in")
        return {"sentence": f"{damaged} on scratch server {server.target.system_identifier}"}

    def version(self, plan: RecoveryPlan) -> int:
        """The newest major version of the planned backups' servers."""
        return max(
            version_needed(
                self.workspace.catalog(planned.store)
                .backup(plan.system, planned.source, planned.kind, planned.backup)
                .manifest.server_version
            )
            for planned in plan.sources
        )


class RemoveStandInOperator(StepOperator):
    """Removes every scratch server of the run, also what a cluster was recovered on; none is a success."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        sources = self.workspace.system(self.system).databases
        folders = [scratch_folder(run), *(copy_folder(run, source.name) for source in sources)]
        there = [folder for folder in folders if folder.exists()]
        for folder in there:
            ScratchServer.remove(folder)
        return {"sentence": f"{plural(len(there), 'scratch server')} removed" if there else "there was none"}


class IsolateOperator(PlannedStepOperator):
    """Closes the database to its clients, so that nothing is written behind the safety copy's back.

    From here on the run has begun: approvals that hold now hold to its end.
    """

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        people = self.require_approval(plan, run)
        folder = self.folder(run)
        folder.begin(plan, self.workspace.signer(), now())
        if planned.tables:
            return {"sentence": f"nothing to do: single tables are replaced under a lock; approved by {people}"}
        if not self.facts(plan, planned, run).exists:
            return {"sentence": f"nothing to do: {planned.target.database} does not exist; approved by {people}"}
        if self.swapped(plan, run):
            return {"sentence": "nothing to do: the restored database is in place already"}
        isolate(self.live(plan, run))
        facts = self.facts(plan, planned, run)
        folder.mark(self.marker("isolated", plan, run), now(), {"facts": facts.model_dump(mode="json")})
        return {"sentence": f"{facts.database} takes no sessions any more; approved by {people}"}

    def of_cluster(
        self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
    ) -> dict[str, Any]:
        self.require_approval(plan, run)
        self.folder(run).begin(plan, self.workspace.signer(), now())
        return runbook_cluster.stop_server(self, plan, planned, run)
