"""Approval by people of the policy's role, kept as a signed object: a green task alone proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from include.recovery import messages
from include.recovery.errors import ApprovalMissing, LifeboatError
from include.recovery.evidence.model import Outcome, Phase
from include.recovery.runbook.approval import Decision, approve, automatic, read_approvals, write_approval
from include.recovery.runbook.folder import RunFolder
from include.recovery.runbook.plan import Mode, RecoveryPlan
from recovery_airflow.hooks.workspace import WorkspaceHook
from recovery_airflow.notifications.slack_alerts import send_notice
from recovery_airflow.operators.step import RunFacts, now
from recovery_airflow.people import airflow_users, policy_name, user_ids
from recovery_airflow.plans import read_plan

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.workspace import Workspace

ANSWERS = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[HITLRejectException, HITLTimeoutError, LifeboatError],
            action=RetryAction.FAIL,
            reason="an answer, or its absence, is not asked for twice",
        )
    ]
)


class PolicyApproval(ApprovalOperator):
    """Asks people of the policy's role to approve the plan, and stores who did, signed.

    Whoever triggered the run is not asked; neither is whoever answered before, where two people must agree. A rehearsal
    approves itself, so that its interlock too reads a signed object, one that is worth nothing in an incident.

    :param system: name of the protected system.
    :param plan: what the planning task returned: key and digest of the plan.
    :param turn: 1 for the first person, 2 for the second, who is asked only where the plan wants two.
    """

    template_fields: Sequence[str] = ("subject", "body", "system", "plan")

    def __init__(self, *, system: str, plan: Any, turn: int = 1, response_timeout: timedelta, **kwargs: Any) -> None:
        # A scheduler that is behind takes a quick answer for the end of a task that died, and loses it [Airflow 3.3.2]:
        # then the question is put again, soon.
        kwargs.setdefault("retries", 3)
        kwargs.setdefault("retry_delay", timedelta(seconds=5))
        kwargs.setdefault("retry_policy", ANSWERS)
        super().__init__(
            subject=f"Recover {system}",
            body="The plan is read from the store when the question is asked.",
            fail_on_reject=True,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.system = system
        self.plan = plan
        self.turn = turn

    def execute(self, context: Context) -> Any:
        """Put the plan before the people who may approve it.

        :raises ApprovalMissing: when nobody is left to ask.
        """
        workspace = WorkspaceHook().get_conn()
        run = RunFacts.of(context)
        folder = RunFolder(workspace.store("primary"), self.system, run.run_key)
        plan = read_plan(folder, self.plan)
        if plan.mode is Mode.REHEARSAL:
            return self.approve_rehearsal(workspace, plan)
        if self.turn > plan.approval.people:
            self.log.info("the policy asks for %s person only; nothing to do", plan.approval.people)
            return None
        people = self.people(workspace, plan, run)
        self.subject = f"Approve: recover {plan.title} ({plan.scenario.replace('_', ' ')})"
        self.body = plan.in_words()
        self.assigned_users = airflow_users(people, user_ids())
        self.log.info("asking %s", ", ".join(people))
        folder.mark(self.asked(plan), now())
        message = messages.approval_wanted(
            system=plan.title,
            plan=self.body,
            role=plan.approval.role,
            people=people,
            until=now() + (self.response_timeout or plan.approval.expires),
            url=run.url,
        )
        send_notice(workspace, message, self.log)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Check who answered, and sign and store the answer."""
        workspace = WorkspaceHook().get_conn()
        run = RunFacts.of(context)
        folder = RunFolder(workspace.store("primary"), self.system, run.run_key)
        plan = read_plan(folder, self.plan)
        asked = folder.done(self.asked(plan))
        since = asked.at if asked else now()
        waited = (now() - since).total_seconds()
        said = "nobody answered in time" if "error" in event else self.record(workspace, plan, run, event)
        outcome = Outcome.PASSED if event.get("chosen_options") == [self.APPROVE] else Outcome.FAILED
        folder.record(
            Phase(
                name=self.task_id,
                outcome=outcome,
                started_at=since,
                finished_at=now(),
                attempt=run.try_number,
                waited_seconds=waited,
                note=said,
            )
        )
        return super().execute_complete(context, event)["chosen_options"]

    def approve_rehearsal(self, workspace: Workspace, plan: RecoveryPlan) -> str | None:
        """A rehearsal's own approval."""
        if self.turn > 1:
            return None
        key = write_approval(workspace.store("primary"), workspace.signer(), automatic(plan, now()))
        self.log.info("a rehearsal approves itself: %s", key)
        return key

    def people(self, workspace: Workspace, plan: RecoveryPlan, run: RunFacts) -> list[str]:
        """Who may answer now: holders of the role, without the requester and without those who have answered.

        :raises ApprovalMissing: when the requester is not known, or nobody is left.
        """
        if run.requester is None:
            raise ApprovalMissing(
                f"nobody is known to have asked for this recovery of {self.system}, so nobody can be kept from "
                "approving their own request; trigger the run in the web UI, or through the API with a user's token"
            )
        given = read_approvals(workspace.store("primary"), plan.system, plan.run)
        before = {signed.approval.person for signed in given if signed.approval.plan == plan.digest}
        people = [name for name in plan.approval.approvers if name not in {run.requester, plan.requester, *before}]
        if not people:
            raise ApprovalMissing(
                f"nobody is left to approve this recovery of {self.system}: the role {plan.approval.role} is held by "
                f"{', '.join(plan.approval.approvers)}, and {run.requester} asked for it; somebody else has to "
                "trigger it, or the policy needs one more person in that role"
            )
        return people

    def asked(self, plan: RecoveryPlan) -> str:
        """The marker of when the question was put."""
        return f"asked {self.turn} {plan.digest[:12]}"

    def record(self, workspace: Workspace, plan: RecoveryPlan, run: RunFacts, event: dict[str, Any]) -> str:
        """Sign and store one person's answer; what was said and by whom, in words.

        :raises ApprovalMissing: when the answer is not that of a person who was asked.
        """
        user = event.get("responded_by_user")
        if not user:
            raise ApprovalMissing(f"the answer for {self.system} names nobody; it does not count")
        person = policy_name(user["id"], user_ids())
        if person not in self.people(workspace, plan, run):
            raise ApprovalMissing(f"{person} answered for {self.system} and was not asked; the answer does not count")
        said = Decision.APPROVE if event["chosen_options"] == [self.APPROVE] else Decision.REJECT
        answer = approve(plan, person, now(), decision=said, via="airflow")
        key = write_approval(workspace.store("primary"), workspace.signer(), answer)
        self.log.info("%s by %s, kept signed in %s", said.value, person, key)
        return f"{said.value} by {person}"
