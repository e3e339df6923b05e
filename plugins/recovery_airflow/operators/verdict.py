"""The last word of every graph: red when anything failed or is missing, whatever reports and teardowns did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskInstanceState

from include.recovery.errors import LifeboatError
from recovery_airflow.operators.step import RunFacts, StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class RunIsRed(LifeboatError):
    """The run must not end green.

    :param alerted: whether each cause is a failed task, which has raised its own alert already.
    """

    def __init__(self, message: str, *, alerted: bool) -> None:
        self.alerted = alerted
        super().__init__(message)


class VerdictOperator(StepOperator):
    """Looks at every task of the run and raises unless each ended in success.

    A run's state in Airflow comes from its last tasks alone, so a report that runs whatever happened, or a teardown,
    would turn a failed run green. This task is the only leaf, runs always, and forgives nothing but the tasks that it
    is told may have had nothing to do.

    :param may_be_skipped: task ids that are skipped when there was nothing to do (mapped over an empty list).
    """

    ui_color = "#d9f2e3"

    def __init__(self, *, may_be_skipped: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)
        self.may_be_skipped = tuple(may_be_skipped)

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])[run.run_id]
        expected = [task_id for task_id in context["dag"].task_ids if task_id != self.task_id]
        problems = judge(states, expected=expected, own=self.task_id, may_be_skipped=self.may_be_skipped)
        if problems:
            causes = {task_id: state for task_id, state in problems.items() if state != "upstream_failed"}
            told = ", ".join(f"{task_id} ({state})" for task_id, state in (causes or problems).items())
            behind = len(problems) - len(causes) if causes else 0
            raise RunIsRed(
                f"{self.system}: this run is red because of {told}"
                f"{f', and {behind} steps behind did not run' if behind else ''}; "
                "open the first one's log, mend its cause, and clear it: the run goes on from there",
                alerted=set(causes.values()) == {TaskInstanceState.FAILED},
            )
        return {"sentence": f"all {len(expected)} tasks ended in success"}


def judge(
    states: dict[str, str | None], *, expected: Sequence[str], own: str, may_be_skipped: Sequence[str] = ()
) -> dict[str, str]:
    """What speaks against a green run: task id to state, in the order of the graph.

    :param states: as Airflow reports them; mapped tasks have their index appended (``copy_0``).
    :param expected: every task id of the graph, the verdict's own left out. One that has no state at all is missing.
    """
    problems: dict[str, str] = {}
    seen: set[str] = set()
    for name, state in states.items():
        base = name if name in expected or name == own else name.rpartition("_")[0]
        seen.add(base)
        if base == own or state == TaskInstanceState.SUCCESS:
            continue
        if state == TaskInstanceState.SKIPPED and base in may_be_skipped:
            continue
        problems[name] = str(state or "never ran")
    problems.update({task_id: "missing" for task_id in expected if task_id not in seen})
    order = {task_id: position for position, task_id in enumerate(expected)}
    return dict(sorted(problems.items(), key=lambda item: order.get(item[0], len(order))))
