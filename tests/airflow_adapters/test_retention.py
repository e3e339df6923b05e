"""The two steps of retention on folders: what the first shows, and no more, the second removes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.errors import Refused
from recovery_airflow.operators.retention import ExpireBackupsOperator, PlanRetentionOperator
from recovery_airflow.operators.step import RunFacts

NOW = datetime.now(UTC).replace(microsecond=0)
RUN = RunFacts(
    dag_id="retention__labdojo", run_id="by hand", task_id="t", try_number=1, requester="ada", url="", started_at=NOW
)


@pytest.fixture
def ready(folder_workspace: Any) -> Any:
    """An operator as ``execute`` makes it ready."""

    def ready(operator: Any) -> Any:
        operator.workspace, operator.started = folder_workspace, NOW
        return operator

    return ready


@pytest.fixture
def weekly(make_backup: Any) -> list[Any]:
    return [make_backup(NOW - timedelta(weeks=8 - week, hours=1)) for week in range(9)]


@pytest.fixture
def plan(ready: Any, weekly: Any) -> dict[str, Any]:
    operator = PlanRetentionOperator(task_id="plan__primary", system="labdojo", store="primary")
    return ready(operator).perform(RUN, {})


def expire(ready: Any, plan: Any, **options: Any) -> dict[str, Any]:
    operator = ExpireBackupsOperator(
        task_id="remove__primary", **{"system": "labdojo", "store": "primary", "plan": plan["plan"]} | options
    )
    return ready(operator).perform(RUN, {})


def count(workspace: Any) -> int:
    return len(workspace.catalog().backups("labdojo"))


def test_the_plan_is_told_with_reasons_and_small_in_xcom(
    ready: Any, weekly: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlanRetentionOperator, "log", logging.getLogger("retention"))
    operator = ready(PlanRetentionOperator(task_id="plan__primary", system="labdojo", store="primary"))
    with caplog.at_level(logging.INFO):
        result = operator.perform(RUN, {})
    assert set(result) == {"plan", "sentence"}
    assert f"goes:  {weekly[0].id} (stored): no line of weekly-full wants it" in caplog.text
    assert f"stays: {weekly[-1].id} (stored): the newest good backup" in caplog.text


def test_a_dry_run_removes_nothing(ready: Any, plan: Any, folder_workspace: Any) -> None:
    for value in (True, "True"):
        assert "dry run" in expire(ready, plan, dry_run=value)["sentence"]
    assert count(folder_workspace) == 9


def test_what_was_shown_goes_and_no_more(
    ready: Any, plan: Any, folder_workspace: Any, make_backup: Any, weekly: Any
) -> None:
    late = make_backup(NOW - timedelta(weeks=30))
    result = expire(ready, plan, dry_run="False")
    left = {row.manifest.id for row in folder_workspace.catalog().backups("labdojo")}
    assert late.id in left
    assert weekly[0].id not in left
    assert result["removed"] == 10 - len(left)
    again = expire(ready, plan)
    assert again["removed"] == 0


def test_a_plan_for_something_else_is_refused(ready: Any, plan: Any, folder_workspace: Any) -> None:
    other = folder_workspace.store("offsite")
    other.put(plan["plan"], folder_workspace.store("primary").get(plan["plan"])[0])
    with pytest.raises(Refused, match="not for labdojo in offsite"):
        expire(ready, plan, store="offsite")
    with pytest.raises(Refused, match="is no retention plan"):
        expire(ready, {"plan": "labdojo/nothing"})
    assert count(folder_workspace) == 9


def test_a_wrong_clock_makes_the_run_red(
    ready: Any, plan: Any, folder_workspace: Any, make_backup: Any
) -> None:
    make_backup(NOW + timedelta(days=2))
    with pytest.raises(Refused, match="the clock is behind now"):
        expire(ready, plan)
    assert count(folder_workspace) == 10
