"""What the steps of a runbook share: the plan that binds them, the database that they work on, and the interlock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import listed
from include.recovery.postgres.facts import target_facts
from include.recovery.runbook import interlock
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.target import TargetFacts
from recovery_airflow.operators.runbook_cluster import METHOD_NAME
from recovery_airflow.operators.step import RunFacts, StepOperator, now
from recovery_airflow.plans import read_plan
from recovery_airflow.scratch import attach

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import CompleteBackup
    from include.recovery.policy.models import Source
    from include.recovery.postgres.server import PostgresServer


class PlannedStepOperator(StepOperator):
    """A step that the plan binds to one source. A step that the plan has no use for says so and succeeds.

    A skip would be wrong: what is skipped spreads to the steps behind, or is run over by them.

    :param source: name of the source in the policy.
    :param plan: what the planning task returned.
    """

    template_fields: Sequence[str] = ("system", "source", "plan")
    required = ("system", "source", "plan")

    def __init__(self, *, source: str, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.plan = plan

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        plan = read_plan(self.folder(run), self.plan)
        planned = plan.source(self.source)
        if planned is None:
            return {"sentence": f"nothing to do: the plan does not touch {self.source}"}
        reason = self.why_not(plan, planned, run)
        if reason:
            return {"sentence": f"nothing to do: {reason}"}
        if planned.method == METHOD_NAME:
            return self.of_cluster(plan, planned, run, context)
        return self.act(plan, planned, run, context)

    def why_not(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> str:
        """Why this run does not need the step; empty when it does."""
        return ""

    def act(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context) -> dict[str, Any]:
        """The step itself."""
        raise NotImplementedError

    def of_cluster(
        self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts, context: Context
    ) -> dict[str, Any]:
        """The step where a whole cluster is replaced; the same, unless a subclass knows better."""
        return self.act(plan, planned, run, context)

    @property
    def policy_source(self) -> Source:
        """The source in the policy."""
        return self.workspace.system(self.system).database(self.source)

    def live(self, plan: RecoveryPlan, run: RunFacts) -> PostgresServer:
        """The database that the plan wants to replace: the stand-in of a rehearsal, or the real one."""
        source = self.policy_source
        if plan.mode is Mode.REHEARSAL:
            return attach(run).server(source.database)
        return self.workspace.server(source, role="restore")

    def marker(self, what: str, plan: RecoveryPlan, run: RunFacts) -> str:
        """The name under which the run's folder keeps that something was done to this source.

        A rehearsal that is begun again has another scratch server, on which nothing has been done yet.
        """
        if plan.mode is Mode.REHEARSAL:
            return f"{what} {self.source} on scratch server {attach(run).target.system_identifier}"
        return f"{what} {self.source}"

    def swapped(self, plan: RecoveryPlan, run: RunFacts) -> bool:
        """Whether the restored copy has taken its place already."""
        return self.folder(run).done(self.marker("swapped", plan, run)) is not None

    def backup(self, planned: PlannedSource) -> CompleteBackup:
        """The backup that the plan restores."""
        return self.workspace.catalog(planned.store).backup(self.system, planned.source, planned.kind, planned.backup)

    def require_approval(self, plan: RecoveryPlan, run: RunFacts) -> str:
        """Pass only with the signed approvals that the plan needs; who gave them, in words.

        :raises ApprovalMissing: when they are missing, whatever the approval tasks' states are.
        """
        people = interlock.check_approved(plan, self.folder(run).approvals(), **self.approval_facts(plan, run))
        return listed(people)

    def require_clearance(
        self, plan: RecoveryPlan, run: RunFacts, facts: TargetFacts, baseline: TargetFacts | None
    ) -> interlock.Clearance:
        """The interlock's word on overwriting the database that the facts are about.

        :raises Refused: when the target is not what was approved, or is still in use.
        """
        scratch = attach(run).target if plan.mode is Mode.REHEARSAL else None
        return interlock.check(
            plan,
            facts,
            self.folder(run).approvals(),
            baseline=baseline,
            scratch=scratch,
            **self.approval_facts(plan, run),
        )

    def approval_facts(self, plan: RecoveryPlan, run: RunFacts) -> dict[str, Any]:
        """What both checks want to know about approvals, as policy and store say it now."""
        system = self.workspace.system(self.system)
        rule = system.scenario(plan.scenario).approval
        return {
            "requester": run.requester,
            "people_needed": rule.people,
            "now": now(),
            "verifier": self.workspace.signer().verifier,
            "approvers": system.people(rule.role),
            "begun": self.folder(run).begun(plan),
        }

    def facts(self, plan: RecoveryPlan, planned: PlannedSource, run: RunFacts) -> TargetFacts:
        """What is found at the target now."""
        return target_facts(self.live(plan, run), tables=planned.tables, now=now())
