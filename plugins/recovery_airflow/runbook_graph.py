"""The graph of the runbook: every phase in its order, every source side by side, for both scenarios and both modes."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TaskGroup, chain

from include.recovery.policy.models import ProtectedSystem
from recovery_airflow.operators.policy_approval import PolicyApproval
from recovery_airflow.operators.reports import RunbookReportOperator
from recovery_airflow.operators.runbook_restore import (
    ProvisionOperator,
    RunbookCompareOperator,
    RunbookRestoreOperator,
    RunbookValidateOperator,
)
from recovery_airflow.operators.runbook_step import PlannedStepOperator
from recovery_airflow.operators.runbook_steps import (
    BuildStandInOperator,
    DeclareOperator,
    IsolateOperator,
    PlanRecoveryOperator,
    RemoveStandInOperator,
)
from recovery_airflow.operators.runbook_swap import (
    LoginCheckOperator,
    ReopenOperator,
    SafeguardOperator,
    SwapInOperator,
)
from recovery_airflow.operators.verdict import VerdictOperator
from recovery_airflow.task_groups import ON_SCRATCH
from recovery_airflow.trigger_form import Field

EVIDENCE = "incidents"

SOURCE_PHASES: dict[str, dict[str, type[PlannedStepOperator]]] = {
    "isolate": {"close_to_clients": IsolateOperator},
    "safeguard": {"keep_what_is_there": SafeguardOperator},
    "provision": {"make_room": ProvisionOperator},
    "restore": {"load": RunbookRestoreOperator},
    "verify": {"compare": RunbookCompareOperator, "query": RunbookValidateOperator},
    "resume": {"swap_in": SwapInOperator, "reopen": ReopenOperator},
    "validate": {"log_in": LoginCheckOperator},
}
"""What is done to each source, phase by phase, in this order; the sources go side by side."""


def param(field: Field) -> str:
    """The template of a field of the form."""
    return f"{{{{ params.{field} }}}}"


def runbook(system: ProtectedSystem) -> None:
    """All phases of one system's recovery."""
    name = system.system
    common: dict[str, Any] = {"system": name, "evidence": EVIDENCE}
    with TaskGroup("declare"):
        declare = DeclareOperator(
            task_id="open_incident",
            scenario=param(Field.SCENARIO),
            mode=param(Field.MODE),
            reason=param(Field.REASON),
            **common,
        )
    with TaskGroup("assess"):
        plan = PlanRecoveryOperator(
            task_id="make_plan",
            scenario=param(Field.SCENARIO),
            mode=param(Field.MODE),
            wish=param(Field.RECOVERY_POINT),
            **common,
        )
    approvals = _approvals(system, plan)
    with TaskGroup("stage"):
        build = BuildStandInOperator(task_id="build_stand_in", plan=plan.output, **common, **ON_SCRATCH)
    steps: list[list[PlannedStepOperator]] = []
    for phase, verbs in SOURCE_PHASES.items():
        with TaskGroup(phase):
            steps += [
                [
                    operator(
                        task_id=f"{verb}__{source.name}", source=source.name, plan=plan.output, **common, **ON_SCRATCH
                    )
                    for source in system.databases
                ]
                for verb, operator in verbs.items()
            ]
    with TaskGroup("close"):
        report = RunbookReportOperator(
            task_id="report", scenario=param(Field.SCENARIO), mode=param(Field.MODE), system=name
        )
        remove = RemoveStandInOperator(task_id="remove_stand_in", system=name, **ON_SCRATCH)
        verdict = VerdictOperator(task_id="verdict", system=name)
    chain(declare, plan, *approvals, build)
    for of_one_source in zip(*steps, strict=True):
        chain(build, *of_one_source, [remove, report])
    # The report is outside what the stand-in frames, so that it is written also when the run never came that far.
    chain(remove.as_teardown(setups=build, on_failure_fail_dagrun=True), report, verdict)


def _approvals(system: ProtectedSystem, plan: PlanRecoveryOperator) -> list[PolicyApproval]:
    """One task for each person who may have to agree; a plan that wants fewer lets the others pass."""
    most = max(scenario.approval.people for scenario in system.scenarios.values())
    patience = max(scenario.approval.expires for scenario in system.scenarios.values())
    with TaskGroup("approve"):
        return [
            PolicyApproval(
                task_id=("first_person", "second_person")[turn],
                system=system.system,
                plan=plan.output,
                turn=turn + 1,
                response_timeout=patience,
            )
            for turn in range(most)
        ]
