"""The runbook's own operators over a whole cluster, in the graph's order: a rehearsal, and an incident."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.recovery.errors import ApprovalMissing, Refused
from include.recovery.runbook.approval import approve, automatic, write_approval
from include.recovery.runbook.folder import RunFolder
from include.recovery.runbook.plan import Mode, RecoveryPlan
from recovery_airflow.operators.runbook_steps import (
    BuildStandInOperator,
    PlanRecoveryOperator,
    RemoveStandInOperator,
)
from recovery_airflow.operators.step import RunFacts
from recovery_airflow.runbook_graph import EVIDENCE, SOURCE_PHASES
from recovery_airflow.trigger_form import Field
from tests.integration.runbook.conftest import Quay, notes

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PHASES = [(phase, verb) for phase, verbs in SOURCE_PHASES.items() for verb in verbs]


class Steps:
    """One run of the runbook, step by step."""

    def __init__(self, quay: Quay, mode: Mode) -> None:
        self.quay, self.mode, self.plan = quay, mode, None
        self.run = RunFacts(
            dag_id="disaster_recovery__quay", run_id=f"{mode}-{datetime.now(UTC).timestamp()}", task_id="t",
            try_number=1, requester="grace", url="", started_at=datetime.now(UTC),
        )  # fmt: skip

    def do(self, kind: type[Any], task_id: str = "t", **options: Any) -> Any:
        operator = kind(task_id=task_id, system=self.quay.name, evidence=EVIDENCE, **options)
        operator.workspace, operator.started, operator.stop = self.quay.workspace, datetime.now(UTC), threading.Event()
        context = {"ti": SimpleNamespace(xcom_push=lambda **_: None), "params": {Field.TABLES: []}}
        return operator.perform(self.run, context)

    def make_plan(self) -> RecoveryPlan:
        reference = self.do(PlanRecoveryOperator, scenario="whole_cluster", mode=self.mode, wish="newest")
        self.plan = {"digest": reference["digest"]}
        return self.folder.plan()

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.quay.workspace.store("primary"), self.quay.name, self.run.run_key)

    def approve(self) -> None:
        plan, now = self.folder.plan(), datetime.now(UTC)
        answer = automatic(plan, now) if self.mode is Mode.REHEARSAL else approve(plan, "ada", now)
        write_approval(self.quay.workspace.store("primary"), self.quay.workspace.signer(), answer)

    def step(self, phase: str, verb: str) -> str:
        kind = SOURCE_PHASES[phase][verb]
        return str(self.do(kind, f"{phase}-{verb}", source="main-db", plan=self.plan)["sentence"])

    def all(self) -> dict[str, str]:
        return {f"{phase}.{verb}": self.step(phase, verb) for phase, verb in PHASES}


@pytest.fixture(scope="module")
def backed_up(quay: Quay) -> Iterator[Quay]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFEBOAT_SCRATCH", str(quay.place / "s"))
        quay.back_up()
        quay.note("only in the archive")
        quay.archive_all()
        yield quay


def test_a_rehearsal_takes_every_step_and_what_is_cleared_goes_on(backed_up: Quay) -> None:
    quay, run = backed_up, Steps(backed_up, Mode.REHEARSAL)
    inode = quay.cluster.data.stat().st_ino
    plan = run.make_plan()
    assert plan.sources[0].method == "whole_cluster"
    run.do(BuildStandInOperator, plan=run.plan)
    with pytest.raises(ApprovalMissing):
        run.step("isolate", "close_to_clients")
    run.approve()
    said = run.all()
    assert "was stopped" in said["isolate.close_to_clients"]
    assert "will be kept as" in said["safeguard.keep_what_is_there"]
    assert "restored beside" in said["restore.load"]
    assert "what was there is kept as" in said["resume.swap_in"]
    assert "WAL arrives: 00000002" in said["resume.reopen"]
    assert "1 question as expected" in said["validate.log_in"]
    run.run = replace(run.run, try_number=2)
    again = run.all()
    assert "nothing to do" in again["isolate.close_to_clients"]
    assert "in place already" in again["restore.load"]
    assert "WAL arrives: 00000002" in again["resume.reopen"]
    assert "2 scratch servers removed" in run.do(RemoveStandInOperator)["sentence"]
    assert list((quay.place / "s").iterdir()) == []
    assert quay.cluster.data.stat().st_ino == inode
    assert quay.archive_all().startswith("00000001")


def test_an_incident_replaces_the_live_cluster(backed_up: Quay) -> None:
    quay, run = backed_up, Steps(backed_up, Mode.INCIDENT)
    plan = run.make_plan()
    assert "nothing to do" in run.do(BuildStandInOperator, plan=run.plan)["sentence"]
    with pytest.raises(ApprovalMissing):
        run.step("isolate", "close_to_clients")
    with pytest.raises(Refused):
        run.step("resume", "swap_in")
    assert notes(quay.database) == ["only in the archive"]
    run.approve()
    said = run.all()
    assert "was stopped" in said["isolate.close_to_clients"]
    assert "WAL arrives: 00000002" in said["resume.reopen"]
    assert "1 question as expected" in said["validate.log_in"]
    assert notes(quay.database) == ["only in the archive"]
    assert Path(plan.sources[0].safety_copy).is_dir()
    assert run.do(RemoveStandInOperator)["sentence"] == "there was none"
