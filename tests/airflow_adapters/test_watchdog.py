"""The watchdog's task: red only when nobody could be told; and its idea of a schedule is Airflow's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.timetables.trigger import CronTriggerTimetable
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.messages import Message
from include.recovery.policy.cron import last_due
from recovery_airflow.operators import watchdog as module
from recovery_airflow.operators.step import RunFacts
from recovery_airflow.operators.watchdog import ALL, NobodyTold, WatchSystemsOperator, alarm_book

NOW = datetime.now(UTC)
RUN = RunFacts(dag_id="watchdog", run_id="r", task_id="watch", try_number=1, requester=None, url="u", started_at=NOW)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney"]
SCHEDULES = ["0 2 * * 0", "30 2 * * *", "30 * * * *", "*/15 * * * *", "0 */6 * * *", "15 2,3 * * *", "*/20 1-3 * * *"]
CHANGES = [datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 4, 5), datetime(2026, 10, 25),  # noqa: DTZ001
           datetime(2026, 11, 1)]  # noqa: DTZ001


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCHEDULES), st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 3 * 86400))
def test_a_run_is_due_when_airflow_starts_one(cron: str, zone: str, change: datetime, later: int) -> None:
    begin = change.replace(tzinfo=UTC) - timedelta(days=1)
    at = begin + timedelta(seconds=later)
    timetable = CronTriggerTimetable(cron, timezone=zone)
    runs, run = [], timetable._get_next(pendulum.instance(begin - timedelta(days=8)))
    while run <= at:
        runs.append(run)
        run = timetable._get_next(run)
    assert last_due(cron, zone, at) == runs[-1]


@pytest.fixture
def operator(folder_workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatchSystemsOperator:
    monkeypatch.setenv("LIFEBOAT_SCRATCH", str(tmp_path / "scratch"))
    made = WatchSystemsOperator(task_id="watch", system=ALL)
    made.workspace, made.stop = folder_workspace, threading.Event()
    return made


def test_an_alert_that_does_not_go_makes_the_run_red_and_is_sent_by_the_next(
    operator: WatchSystemsOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Message] = []
    up = False

    def send(_workspace: Any, message: Message, _log: Any) -> bool:
        sent.append(message)
        return up

    monkeypatch.setattr(module, "send_notice", send)
    with pytest.raises(NobodyTold, match=r"1 message did not reach anybody: labdojo/main-db: the primary's WAL"):
        operator.perform(RUN, {})  # type: ignore[arg-type]
    up = True
    result = operator.perform(RUN, {})  # type: ignore[arg-type]
    assert (result["on"], result["told"]) == (1, 1)
    assert "1 system looked at: 1 alarm on, 1 of them critical; 1 message sent" in result["sentence"]
    assert operator.perform(RUN, {})["told"] == 0  # type: ignore[arg-type]
    assert len(sent) == 2
    assert operator.workspace.store("primary").get("labdojo/policy/last-valid.yaml")[0]


def test_the_alarms_are_kept_on_the_worker_too(operator: WatchSystemsOperator, tmp_path: Path) -> None:
    book = alarm_book(operator.workspace)
    book.write(book.read("labdojo", NOW), NOW)
    for place in (tmp_path / "primary", tmp_path / "scratch-watchdog"):
        assert (place / "labdojo" / "watchdog" / "alarms.json").exists()
