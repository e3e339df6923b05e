"""The button's task: start a system's runbook once, whatever is cleared and tried again, and wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import XCOM_RUN_ID, TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk import DagRunState

from include.recovery.errors import LifeboatError, Refused
from recovery_airflow.trigger_form import Field

if TYPE_CHECKING:
    from airflow.sdk import Context

POLL_SECONDS = 5


class RunbookFailed(LifeboatError):
    """The runbook of a system has ended red."""


class RunRecoveryOperator(TriggerDagRunOperator):
    """Starts ``disaster_recovery__<system>`` when the form chose that system, and waits for it without holding a slot.

    The child's run id follows from this run's, so there is never a second recovery: a run that exists is joined, one
    that has failed has to be mended and cleared *there*, and then this task is cleared and joins it.

    :param system: name of the protected system.
    :param depends_on: systems that must be back first, where the form chose them too.
    """

    template_fields: Sequence[str] = ("system", "trigger_dag_id", "conf")

    def __init__(self, *, system: str, depends_on: Sequence[str] = (), **kwargs: Any) -> None:
        fields = (Field.SCENARIO, Field.MODE, Field.RECOVERY_POINT, Field.TABLES, Field.REASON)
        kwargs.setdefault("trigger_dag_id", f"disaster_recovery__{system}")
        kwargs.setdefault("conf", {str(field): f"{{{{ params.{field} | tojson }}}}" for field in fields})
        super().__init__(
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POLL_SECONDS,
            logical_date=None,
            fail_when_dag_is_paused=True,
            openlineage_inject_parent_info=False,
            **kwargs,
        )
        self.system = system
        self.depends_on = tuple(depends_on)

    def execute(self, context: Context) -> None:
        """Start the runbook, or join the one that this run has started before.

        :raises Refused: when a chosen system that this one depends on is not back.
        :raises RunbookFailed: when the joined run has failed.
        """
        chosen = context["params"][Field.SYSTEMS]
        if self.system not in chosen:
            self.log.info("%s was not chosen; nothing to do", self.system)
            return
        self.require_dependencies(context, chosen)
        ti, run_id = context["ti"], child_run_id(context["dag_run"].run_id)
        if ti.get_dr_count(dag_id=self.trigger_dag_id, run_ids=[run_id]):
            self.join(context, run_id)
            return
        self.trigger_run_id = run_id
        self.conf = {str(field): context["params"][field] for field in self.conf or {}}
        super().execute(context)

    def join(self, context: Context, run_id: str) -> None:
        """Wait for a run that exists already; a green one is done."""
        # The link to the child run, which the operator that we build on sets only for a run that it starts.
        context["ti"].xcom_push(key=XCOM_RUN_ID, value=run_id)
        state = context["ti"].get_dagrun_state(dag_id=self.trigger_dag_id, run_id=run_id)
        if state == DagRunState.SUCCESS:
            self.log.info("%s has recovered already, in run %s", self.system, run_id)
            return
        if state == DagRunState.FAILED:
            raise RunbookFailed(self.advice(run_id))
        self.log.info("joining run %s of %s, which is %s", run_id, self.trigger_dag_id, state)
        self.defer(
            trigger=DagStateTrigger(
                dag_id=self.trigger_dag_id,
                states=[DagRunState.SUCCESS, DagRunState.FAILED],  # type: ignore[list-item]
                run_ids=[run_id],
                poll_interval=POLL_SECONDS,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: tuple[str, dict[str, Any]]) -> None:
        """Judge the runbook's end.

        :raises RunbookFailed: when it is red.
        """
        outcome = event[1]
        for run_id in outcome["run_ids"]:
            if outcome.get(run_id) != DagRunState.SUCCESS:
                raise RunbookFailed(self.advice(run_id))
            self.log.info("%s has recovered, in run %s", self.system, run_id)

    def require_dependencies(self, context: Context, chosen: Sequence[str]) -> None:
        """Refuse while a chosen system that this one needs is not back."""
        awaited = [name for name in self.depends_on if name in chosen]
        if not awaited:
            return
        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
        for name in awaited:
            ended = [state for task_id, state in states.items() if task_id.endswith(f"recover__{name}")]
            if ended != ["success"]:
                raise Refused(
                    f"{self.system} depends on {name}, whose recovery is {ended[0] if ended else 'missing'}; "
                    f"finish that one, then clear this task"
                )

    def advice(self, run_id: str) -> str:
        """What to do about a failed child."""
        return (
            f"the runbook of {self.system} failed in run {run_id} of {self.trigger_dag_id}; mend the cause and clear "
            "the failed task there, wait until that run is green, then clear this task"
        )


def child_run_id(parent: str) -> str:
    """The run id of the runbook that a run of the button starts."""
    return f"disaster_recovery__{parent}"
