"""A run that takes too long is told through Slack; the callback is one that any worker can import."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.sdk import DeadlineReference

from include.recovery.messages import Message
from recovery_airflow.hooks.workspace import WorkspaceHook
from recovery_airflow.notifications import deadlines
from recovery_airflow.notifications.deadlines import ends_within, tell_overdue

WORDS = {"system": "labdojo", "what": "backup weekly-full", "to_do": "Open the run."}


def test_the_callback_can_be_imported_by_its_path() -> None:
    alert = ends_within(timedelta(minutes=30), **WORDS)
    module, _, name = alert.callback.path.rpartition(".")
    assert getattr(import_module(module), name) is tell_overdue
    assert alert.reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert alert.interval == timedelta(minutes=30)
    assert alert.callback.kwargs == WORDS


@pytest.mark.parametrize("at", [datetime(2026, 11, 21, 2, 30, tzinfo=UTC), "2026-11-21T02:30:00Z"])
def test_it_says_which_run_of_which_system_and_where(
    at: object, folder_workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Message] = []
    monkeypatch.setattr(WorkspaceHook, "get_conn", lambda _: folder_workspace)
    monkeypatch.setattr(deadlines, "send_notice", lambda _w, message, _l: sent.append(message) is None)
    run = {"dag_id": "backup__labdojo__weekly-full", "dag_run_id": "scheduled__1"}
    assert tell_overdue({"dag_run": run, "deadline": {"id": "x", "deadline_time": at}}, **WORDS)
    (message,) = sent
    lines = message.text.splitlines()
    assert lines[0] == "🟠 labdojo: backup weekly-full takes too long"
    assert any(line.startswith("Due: 2026-11-21 02:30 UTC (") for line in lines)
    assert lines[-2:] == [
        "What to do: Open the run.",
        "http://127.0.0.1:8080/dags/backup__labdojo__weekly-full/runs/scheduled__1",
    ]


def test_a_time_that_cannot_be_read_is_no_reason_to_keep_quiet(
    folder_workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkspaceHook, "get_conn", lambda _: folder_workspace)
    monkeypatch.setattr(deadlines, "send_notice", lambda *_: True)
    assert tell_overdue({"deadline": {"deadline_time": "soon"}}, **WORDS)
