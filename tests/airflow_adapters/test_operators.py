"""What all operators have in common: keyword-only, assign only, templates checked when they have been rendered."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import RetryAction

from include.recovery import errors
from include.recovery.errors import PolicyError
from recovery_airflow import operators
from recovery_airflow.dag_defaults import RETRY_POLICY
from recovery_airflow.operators.logical_backup import PgDumpOperator
from recovery_airflow.operators.step import StepOperator, truth

MODULES = sorted(path.stem for path in Path(operators.__path__[0]).glob("*.py") if path.stem != "__init__")
OPERATORS = [
    found
    for module in MODULES
    for name, found in vars(import_module(f"recovery_airflow.operators.{module}")).items()
    if inspect.isclass(found)
    and issubclass(found, BaseOperator)
    and found.__module__ == f"recovery_airflow.operators.{module}"
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_arguments_are_by_keyword_and_templates_are_arguments(operator: type[BaseOperator]) -> None:
    parameters: set[str] = set()
    for kind in inspect.getmro(operator):
        if "__init__" in vars(kind):
            signature = inspect.signature(vars(kind)["__init__"])
            if kind.__module__.startswith("recovery_airflow"):
                positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
                assert [p.name for p in positional] == ["self"]
            parameters |= set(signature.parameters)
    assert set(operator.template_fields) <= parameters


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_operator_says_what_it_does(operator: type[BaseOperator]) -> None:
    assert (inspect.getdoc(operator) or "") != (inspect.getdoc(StepOperator) or "") or operator is StepOperator
    for name in inspect.signature(operator.__init__).parameters:
        documented = "".join(inspect.getdoc(kind) or "" for kind in inspect.getmro(operator))
        assert name in {"self", "kwargs", "response_timeout"} or f":param {name}:" in documented, name


def test_the_map_of_operators_is_complete() -> None:
    documented = inspect.getdoc(operators) or ""
    assert [
        module for module in MODULES if f"\n{module} " not in documented and f"    {module} " not in documented
    ] == []


def test_a_value_that_rendered_to_nothing_is_refused() -> None:
    operator = PgDumpOperator(task_id="dump", system="harbor", source="", tier="daily")
    with pytest.raises(PolicyError, match="source is empty"):
        operator.validate()


def test_on_kill_reaches_the_work_that_runs() -> None:
    import threading

    operator = PgDumpOperator(task_id="dump", system="harbor", source="main-db", tier="daily")
    operator.on_kill()  # before it began: nothing to do
    operator.stop = threading.Event()
    operator.on_kill()
    assert operator.stop.is_set()


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), ("True", True), ("False", False), ("", False), (None, False)]
)
def test_a_yes_or_no_survives_its_template(value: bool | str | None, expected: bool) -> None:
    assert truth(value) is expected


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.StoreUnavailable("x"), RetryAction.RETRY),
        (errors.SourceUnavailable("x"), RetryAction.RETRY),
        (ConnectionResetError(), RetryAction.RETRY),
        (errors.PartDamaged("x"), RetryAction.FAIL),
        (errors.ManifestInvalid("x"), RetryAction.FAIL),
        (errors.KeyDisabled("x"), RetryAction.FAIL),
        (errors.WrongKey("x"), RetryAction.FAIL),
        (errors.NotIdentical("x"), RetryAction.FAIL),
        (errors.CopyLost("x"), RetryAction.FAIL),
        (errors.Refused("x"), RetryAction.FAIL),
        (errors.ApprovalMissing("x"), RetryAction.FAIL),
        (errors.PolicyError(["x"]), RetryAction.FAIL),
        (errors.RowsHidden("x"), RetryAction.FAIL),
        (errors.LeaseHeld("x"), RetryAction.FAIL),
        (errors.BackupNotFound("x"), RetryAction.FAIL),
        (errors.ToolFailed("pg_dump", 1, ""), RetryAction.DEFAULT),
        (RuntimeError(), RetryAction.DEFAULT),
    ],
)
def test_only_trouble_on_the_way_is_tried_again(error: Exception, action: RetryAction) -> None:
    assert RETRY_POLICY.evaluate(error, try_number=1, max_tries=2).action is action
