"""The task that makes a point tells what it cost; its schedule is on round times where there are any."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery import restore_points
from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from recovery_airflow.dag_defaults import every, round_times
from recovery_airflow.operators.recovery_point import RecoveryPointOperator
from recovery_airflow.operators.step import RunFacts

NOW = datetime.now(UTC)
RUN = RunFacts(
    dag_id="recovery_point__labdojo", run_id="r", task_id="t", try_number=1, requester=None, url="", started_at=NOW
)


def test_the_milliseconds_are_shown_and_the_fingerprint_stays_in_the_store(
    folder_workspace: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stops: list[Any] = []

    def make_point(_server: Any, system: str, source: str, _options: Any, *, stop: Any) -> RecoveryPoint:
        stops.append(stop)
        return RecoveryPoint(
            system=system, source=source, name="lifeboat_x", kind="heartbeat", at=NOW, lsn="0/1", timeline=1,
            system_identifier="1", waited_ms=31.46, attempts=2, fingerprint=None, note="only a heartbeat: busy",
        )  # fmt: skip

    monkeypatch.setattr(restore_points, "make_point", make_point)
    monkeypatch.setattr(RecoveryPointOperator, "log", logging.getLogger("points"))
    found = folder_workspace.connections("signing")
    folder_workspace.connections = lambda name: found
    operator = RecoveryPointOperator(task_id="make_point__main-db", system="labdojo", source="main-db")
    operator.workspace, operator.stop = folder_workspace, threading.Event()
    result = operator.perform(RUN, {})  # type: ignore[arg-type]
    assert stops == [operator.stop]
    assert result == {
        "source": "main-db", "point": "lifeboat_x", "kind": "heartbeat", "at": NOW.isoformat(), "waited_ms": 31.5,
        "attempts": 2,
        "sentence": "heartbeat point lifeboat_x of main-db at 0/1: writers waited 31.5 ms at most (2 attempts); "
        "in primary and offsite",
    }  # fmt: skip
    assert "lifeboat_x cannot prove rows: only a heartbeat: busy" in caplog.text
    assert len(RecoveryPoints(folder_workspace.store("offsite")).listed("labdojo", "main-db")) == 1


def test_an_operator_without_a_source_is_refused() -> None:
    operator = RecoveryPointOperator(task_id="make_point__x", system="labdojo", source="")
    with pytest.raises(Exception, match="source is empty"):
        operator.validate()


@pytest.mark.parametrize(
    ("interval", "cron"),
    [
        ({"minutes": 1}, "*/1 * * * *"), ({"minutes": 15}, "*/15 * * * *"), ({"hours": 1}, "0 * * * *"),
        ({"hours": 6}, "0 */6 * * *"), ({"days": 1}, "0 0 * * *"),
        ({"minutes": 45}, None), ({"minutes": 90}, None), ({"hours": 5}, None), ({"days": 2}, None),
        ({"seconds": 90}, None), ({"seconds": 30}, None),
    ],
)  # fmt: skip
def test_an_interval_that_divides_a_day_runs_on_round_times(interval: dict[str, int], cron: str | None) -> None:
    assert round_times(timedelta(**interval)) == cron


def test_any_other_counts_on(folder_workspace: Any) -> None:
    system = folder_workspace.system("labdojo")
    assert every(timedelta(minutes=90), system).delta == timedelta(minutes=90)  # type: ignore[union-attr]
    assert "Europe/Berlin" in str(every(timedelta(hours=6), system).timezone)  # type: ignore[union-attr]
