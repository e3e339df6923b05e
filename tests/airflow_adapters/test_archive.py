"""The tasks that watch the archive: red with every finding, and quiet in Slack, which the watchdog sees to."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from include.recovery.catalog.archive_proofs import ArchiveProof, found
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import SourceUnavailable
from include.recovery.postgres.backoff import Advice
from recovery_airflow.dag_defaults import RETRY_POLICY
from recovery_airflow.notifications.slack_alerts import SlackAlert
from recovery_airflow.operators import archive as module
from recovery_airflow.operators import logical_backup
from recovery_airflow.operators.archive import (
    ArchiveNotSound,
    ReplayProofOperator,
    WalArchiveCheckOperator,
    replay_folder,
)
from recovery_airflow.operators.logical_backup import PrecheckOperator
from recovery_airflow.operators.step import RunFacts

NOW = datetime.now(UTC)
RUN = RunFacts(dag_id="d", run_id="r", task_id="t", try_number=1, requester=None, url="", started_at=NOW)
GAP = Concern(Severity.CRITICAL, "wal missing", "WAL segment 5 is missing; take a full backup")


def proof(*concerns: Concern, **values: Any) -> ArchiveProof:
    given = {"system": "labdojo", "source": "main-db", "store": "primary", "by": "replay", "at": NOW} | values
    return ArchiveProof(**given, found=found(concerns))


def ready(operator: Any, workspace: Any) -> Any:
    operator.workspace, operator.stop = workspace, threading.Event()
    return operator


def test_a_finding_makes_the_run_red_and_is_told_by_the_watchdog_alone(
    folder_workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "prove_replay", lambda *_, **__: proof(GAP))
    monkeypatch.setattr(module, "check_wal", lambda *_, **__: proof(GAP))
    for operator in (
        ReplayProofOperator(task_id="t", system="labdojo", source="main-db"),
        WalArchiveCheckOperator(task_id="t", system="labdojo", source="main-db", store="primary"),
    ):
        with pytest.raises(ArchiveNotSound, match="WAL segment 5 is missing") as caught:
            ready(operator, folder_workspace).perform(RUN, {})
        assert SlackAlert().message({"exception": caught.value}, folder_workspace) is None  # type: ignore[arg-type]
        assert RETRY_POLICY.evaluate(caught.value, 1, 3).action.name == "FAIL"


def test_a_sound_archive_says_how_far_it_is_proven(folder_workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    note = Concern(Severity.NOTE, "replay lag", "it catches up")
    sound = proof(note, lsn="0/9000000", recoverable_at=NOW - timedelta(seconds=40))
    monkeypatch.setattr(module, "prove_replay", lambda *_, **__: sound)
    operator = ready(ReplayProofOperator(task_id="t", system="labdojo", source="main-db"), folder_workspace)
    told = operator.perform(RUN, {})["sentence"]
    assert "every segment of main-db in primary is replayed to LSN 0/9000000, 0 segments wait" in told


def test_the_standbys_folder_is_the_same_in_every_run(folder_workspace: Any) -> None:
    system = folder_workspace.system("labdojo")
    assert replay_folder(system, system.sources[0]) == replay_folder(system, system.sources[0])


@pytest.mark.parametrize("tier", ["weekly-full", None])
def test_a_backup_waits_without_a_workers_slot_while_replicas_lag(
    tier: str | None, folder_workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: Any) -> str:
        return "it is there"

    asked: list[dict[str, Any]] = []
    answers = [Advice(timedelta(minutes=2), ("replica s1 is 300 MiB behind",)), Advice(None, ("replica s1 lags",))]

    def when_to_start(_workspace: Any, _source: Any, _tier: Any, **values: Any) -> Advice:
        asked.append(values)
        return answers[len(asked) - 1]

    monkeypatch.setattr(logical_backup, "verbs", lambda _: type("Verbs", (), {"precheck": staticmethod(look)}))
    monkeypatch.setattr(logical_backup, "when_to_start", when_to_start)
    operator = ready(PrecheckOperator(task_id="t", system="labdojo", source="main-db", tier=tier), folder_workspace)
    with pytest.raises(AirflowRescheduleException) as caught:
        operator.perform(RUN, {})
    assert timedelta(seconds=100) < caught.value.reschedule_date - datetime.now(UTC) <= timedelta(minutes=2)
    told = operator.perform(RUN, {})["sentence"]
    assert "the backup starts although replica s1 lags: it was put off long enough" in told
    assert asked[1]["put_off"] > timedelta()


def test_a_load_that_nobody_can_tell_keeps_no_backup_waiting(
    folder_workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Advice:
        raise SourceUnavailable("it does not answer")

    monkeypatch.setattr(logical_backup, "when_to_start", down)
    operator = ready(PrecheckOperator(task_id="t", system="labdojo", source="main-db"), folder_workspace)
    system = folder_workspace.system("labdojo")
    assert operator.advice(RUN, system, system.sources[0]).start
