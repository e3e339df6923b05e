"""Alerts: what they say, and that no trouble with Slack reaches the task that they are about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import LifeboatError, StoreUnavailable
from include.recovery.messages import notice
from include.recovery.policy.files import load_folder
from include.recovery.workspace import Workspace
from recovery_airflow.hooks.workspace import WorkspaceHook
from recovery_airflow.notifications import slack_alerts
from recovery_airflow.notifications.slack_alerts import SlackAlert, rpo_left, send_notice, what_failed
from recovery_airflow.operators.verdict import RunIsRed

POLICIES = load_folder(Path(__file__).parents[2] / "include" / "policies")


def nowhere(connection_id: str) -> ConnectionInfo:
    raise LifeboatError(f"connection {connection_id!r} is not defined")


@pytest.fixture
def workspace() -> Workspace:
    """The shipped policies, and not one connection: everything outside is down."""
    return Workspace(POLICIES, nowhere)


def context(error: BaseException | None = None) -> dict[str, Any]:
    task = SimpleNamespace(system="labdojo", source="main-db")
    ti = SimpleNamespace(
        dag_id="backup__labdojo__weekly-full",
        task_id="back_up.dump__main-db",
        start_date=datetime.now(UTC) - timedelta(minutes=3),
        log_url="http://127.0.0.1/dags/x",
    )
    dag = DAG("backup__labdojo__weekly-full", dag_display_name="Back up labdojo: weekly-full", schedule=None)
    return {"ti": ti, "task": task, "dag": dag, "exception": error}


def test_an_alert_names_the_system_what_failed_and_where_to_look(workspace: Workspace) -> None:
    message = SlackAlert().message(context(StoreUnavailable("store primary does not answer")), workspace)  # type: ignore[arg-type]
    assert message is not None
    assert "labdojo" in message.text
    assert "dump main-db" in message.text
    assert "store primary does not answer" in message.text
    assert "http://127.0.0.1/dags/x" in message.text + str(message.blocks)


def test_a_verdict_does_not_say_again_what_failed_tasks_have_said(workspace: Workspace) -> None:
    assert SlackAlert().message(context(RunIsRed("red", alerted=True)), workspace) is None  # type: ignore[arg-type]
    assert SlackAlert().message(context(RunIsRed("red", alerted=False)), workspace) is not None  # type: ignore[arg-type]


def test_an_unknown_rpo_is_no_reason_to_keep_quiet(workspace: Workspace) -> None:
    assert rpo_left(workspace, "labdojo", "main-db") is None
    assert rpo_left(workspace, "no such system", None) is None


def test_a_slack_outage_is_logged_and_goes_no_further(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WorkspaceHook, "get_conn", lambda self: workspace)

    def down(*_: object) -> None:
        raise ConnectionRefusedError("Slack is down")

    monkeypatch.setattr(slack_alerts.SlackNotice, "send", down)
    SlackAlert()(context(StoreUnavailable("x")))
    send_notice(workspace, notice(system="labdojo", title="x"), SlackAlert().log)
    assert capsys.readouterr().out.count("Slack is down") == 2


@pytest.mark.parametrize(
    ("task_id", "expected"),
    [
        ("back_up.dump__main-db", "Back up x (dump main-db)"),
        ("resume.swap_in__main-db", "Back up x (swap in main-db)"),
        ("verdict", "Back up x (verdict)"),
    ],
)
def test_tasks_are_named_as_people_speak(task_id: str, expected: str) -> None:
    assert what_failed("Back up x", task_id) == expected
