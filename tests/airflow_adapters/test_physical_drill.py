"""The tasks of a cluster's drill: small JSON between them, the rest in the store; what fails is kept and raised."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.recovery.catalog.model import Manifest, ProofLevel
from include.recovery.drills.aim import Aim, Drilled
from include.recovery.drills.physical import CHECKSUMS, STRUCTURE, PhysicalDrill, SecondCopy
from include.recovery.errors import BackupNotFound, NotIdentical
from include.recovery.evidence.model import Check, Outcome, Phase
from include.recovery.fingerprint.model import Comparison
from include.recovery.pgbackrest.drill_window import Window
from recovery_airflow.operators.physical_drill import (
    DrillArchiveCheckOperator,
    HeartbeatCheckOperator,
    PagesCheckOperator,
    PickPointOperator,
    PickSecondOperator,
    PointCompareOperator,
    PointQueriesOperator,
    RecoverPointOperator,
    RecoverSecondOperator,
)
from recovery_airflow.operators.physical_drill_report import PhysicalDrillReportOperator
from recovery_airflow.operators.reports import seconds_of
from recovery_airflow.operators.scratch_server import ScratchRoomOperator, ScratchServerStopOperator
from recovery_airflow.operators.step import RunFacts
from recovery_airflow.scratch import copy_folder
from tests.recovery.catalog.test_points import point

NOW = datetime.now(UTC).replace(microsecond=0)
RUN = RunFacts(
    dag_id="drill__labdojo__monthly", run_id="by hand", task_id="t", try_number=1, requester="ada", url="",
    started_at=NOW,
)  # fmt: skip
OF = {"system": "labdojo", "source": "main-db", "store": "primary"}
SAME = Comparison(identical=True, compared_tables=2, compared_rows=10, differences=(), not_compared=())


class Tasks:
    """Runs operators one after another, as the graph would, with an XCom of their own."""

    def __init__(self, workspace: Any) -> None:
        self.workspace = workspace
        self.xcom: dict[tuple[str, str], Any] = {}
        self.ran: list[str] = []

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.xcom[self.ran[-1], key] = value

    def xcom_pull(self, *, task_ids: str, key: str = "return_value") -> Any:
        return self.xcom.get((task_ids, key))

    def run(self, operator: Any, task_id: str) -> Any:
        self.ran.append(task_id)
        operator.workspace, operator.started, operator.stop = self.workspace, NOW, None
        operator.validate()
        dag = SimpleNamespace(task_ids=list(dict.fromkeys(self.ran)), get_task=lambda _: operator)
        result = operator.perform(RUN, {"ti": self, "dag": dag})
        self.xcom[task_id, "return_value"] = result
        json.dumps(result)
        return result


@pytest.fixture
def tasks(
    folder_workspace: Any, make_cluster_backup: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tasks:
    """Over a drill whose every step is good."""
    monkeypatch.setenv("LIFEBOAT_SCRATCH", str(tmp_path / "scratch"))
    for operator in (PickPointOperator, RecoverPointOperator, RecoverSecondOperator):
        monkeypatch.setattr(operator, "log", logging.getLogger("drill"))
    made = make_cluster_backup(NOW - timedelta(hours=1))
    folder_workspace.store("primary")
    backup = folder_workspace.catalog().backup("labdojo", "main-db", "pgbackrest", made.id)
    aim = Aim(point(1, at=NOW - timedelta(minutes=2)), backup, "20261121-070000F", 12.5, ("lifeboat_2 is too young",))
    server = SimpleNamespace(server=lambda *_: SimpleNamespace(redacted="database postgres on /scratch"))
    times = SimpleNamespace(seconds=3.0)
    restored = SimpleNamespace(seconds=6.0, server=server, copied=times, recovered=times)
    good = {
        "check_archive": "none missing", "pick": aim, "recover_to_point": SimpleNamespace(restored=restored, loss=75.0),
        "compare": SAME, "ask": [check("there are users")], "check_structure": check(STRUCTURE),
        "check_checksums": check(CHECKSUMS), "check_heartbeat": 20.0,
        "draw": (NOW - timedelta(hours=2), Window(NOW - timedelta(hours=3), NOW, "the window is short")),
        "recover_to_second": SecondCopy(backup, "20261121-070000F", 5.0),
    }  # fmt: skip
    for name, result in good.items():
        monkeypatch.setattr(PhysicalDrill, name, lambda *_, result=result: result)
    monkeypatch.setattr(Drilled, "again", lambda *_: aim)
    return Tasks(folder_workspace)


def check(name: str, outcome: Outcome = Outcome.PASSED, *, required: bool = True) -> Check:
    return Check(name=name, outcome=outcome, source="main-db", required=required, expected="well", found="so so")


def aimed(tasks: Tasks) -> dict[str, Any]:
    """What the steps about the point are given."""
    picked = tasks.run(PickPointOperator(task_id="p", wish="newest point", **OF), "choose.pick_point__main-db")
    assert picked["sentence"].endswith("from 20261121-070000F; the newest WAL is 12 s old")
    return {"aim": picked, **OF}


def run_point(tasks: Tasks) -> None:
    of = aimed(tasks)
    tasks.run(DrillArchiveCheckOperator(task_id="c", **OF), "choose.check_archive__main-db")
    tasks.run(RecoverPointOperator(task_id="r", **of), "restore.recover_point__main-db")
    tasks.run(PointCompareOperator(task_id="c", **of), "verify.compare__main-db")
    tasks.run(PointQueriesOperator(task_id="q", **of), "verify.query__main-db")
    for what in ("structure", "checksums"):
        tasks.run(PagesCheckOperator(task_id=what, what=what, **of), f"pages.check_{what}__main-db")


def run_second(tasks: Tasks) -> None:
    drawn = tasks.run(PickSecondOperator(task_id="s", **OF), "second.pick_second__main-db")
    seconds = {"second": drawn["second"], **OF}
    done = tasks.run(
        RecoverSecondOperator(task_id="rs", note=drawn["note"], **seconds), "second.recover_second__main-db"
    )
    tasks.run(HeartbeatCheckOperator(task_id="h", backup=done["backup"], **seconds), "second.check_heartbeat__main-db")


def report(tasks: Tasks) -> Any:
    operator = PhysicalDrillReportOperator(task_id="report", system="labdojo", cadence="monthly", store="primary")
    operator.workspace = tasks.workspace
    dag = SimpleNamespace(task_ids=tasks.ran, get_task=lambda _: operator)
    return operator.found(RUN, {"ti": tasks, "dag": dag})  # type: ignore[arg-type,typeddict-item]


def test_what_all_steps_found_is_in_the_report(tasks: Tasks) -> None:
    run_point(tasks)
    run_second(tasks)
    (source,), checks = report(tasks)
    assert (source.level, source.required_level) == (ProofLevel.VALIDATED, ProofLevel.VALIDATED)
    assert (source.rpo.seconds, source.rpo.met, source.restore_seconds) == (12.5, True, 6.0)
    assert source.snapshot_at == NOW - timedelta(minutes=2)
    place = source.point_in_time
    assert (place.point_loss_seconds, place.second_loss_seconds, place.archive_age_seconds) == (75.0, 20.0, 12.5)
    assert place.second == NOW - timedelta(hours=2)
    assert place.notes == ("lifeboat_2 is too young", "the window is short")
    assert [each.name for each in checks] == ["there are users", STRUCTURE, CHECKSUMS, "heartbeat at the second"]


def test_without_a_comparison_nothing_is_called_identical(tasks: Tasks) -> None:
    of = aimed(tasks)
    tasks.run(RecoverPointOperator(task_id="r", **of), "restore.recover_point__main-db")
    tasks.run(PointQueriesOperator(task_id="q", **of), "verify.query__main-db")
    run_second(tasks)
    (source,), _ = report(tasks)
    assert (source.level, source.required_level) == (ProofLevel.RESTORED, ProofLevel.VALIDATED)


def test_a_drill_that_recovered_nothing_shows_no_source(tasks: Tasks) -> None:
    tasks.run(DrillArchiveCheckOperator(task_id="c", **OF), "choose.check_archive__main-db")
    assert report(tasks) == ([], [])


def test_what_is_wrong_is_kept_for_the_report_before_the_task_fails(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = aimed(tasks)
    different = SAME.model_copy(update={"identical": False, "confidence": "only a sample"})
    monkeypatch.setattr(PhysicalDrill, "compare", lambda *_: different)
    monkeypatch.setattr(PhysicalDrill, "check_structure", lambda *_: check(STRUCTURE, Outcome.FAILED))

    def beyond(*_: Any) -> float:
        raise NotIdentical("the copy went beyond the second")

    monkeypatch.setattr(PhysicalDrill, "check_heartbeat", beyond)
    with pytest.raises(NotIdentical, match="labdojo/main-db, point lifeboat_.*: no difference found, which is not"):
        tasks.run(PointCompareOperator(task_id="c", **of), "verify.compare__main-db")
    with pytest.raises(NotIdentical, match="labdojo/main-db: structure of pages: found so so, expected well"):
        tasks.run(PagesCheckOperator(task_id="s", what="structure", **of), "pages.check_structure__main-db")
    with pytest.raises(NotIdentical, match="went beyond"):
        run_second(tasks)
    (source,), checks = report(tasks)
    assert source.comparison == different
    assert [(each.name, each.outcome) for each in checks] == [
        (STRUCTURE, Outcome.FAILED), ("heartbeat at the second", Outcome.FAILED)
    ]  # fmt: skip


def test_pages_without_checksums_are_no_failure(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    of = aimed(tasks)
    skipped = check(CHECKSUMS, Outcome.SKIPPED, required=False)
    monkeypatch.setattr(PhysicalDrill, "check_checksums", lambda *_: skipped)
    done = tasks.run(PagesCheckOperator(task_id="s", what="checksums", **of), "pages.check_checksums__main-db")
    assert done["sentence"] == "so so"


def test_no_second_is_no_recovery(tasks: Tasks) -> None:
    with pytest.raises(BackupNotFound, match="labdojo/main-db: no second was drawn"):
        tasks.run(RecoverSecondOperator(task_id="r", second=None, **OF), "second.recover_second__main-db")


def test_each_source_has_a_folder_of_its_own_and_all_are_gone_in_the_end(tasks: Tasks) -> None:
    of = {"system": "labdojo", "sources": ("main-db", "other")}
    folders = [copy_folder(RUN, source) for source in of["sources"]]
    assert len(set(folders)) == 2
    for folder in folders:
        folder.mkdir(parents=True)
    assert "free" in tasks.run(ScratchRoomOperator(task_id="r", **of), "scratch.make_room")["sentence"]
    assert not any(folder.exists() for folder in folders)
    folders[1].mkdir(parents=True)
    assert str(folders[1]) in tasks.run(ScratchServerStopOperator(task_id="s", **of), "scratch.stop")["sentence"]
    assert not folders[1].exists()
    assert tasks.run(ScratchServerStopOperator(task_id="s", **of), "scratch.stop") == {
        "sentence": "there was no scratch server"
    }


def phase(name: str, first: float, last: float) -> Phase:
    began, ended = (NOW + timedelta(seconds=each) for each in (first, last))
    return Phase(name=name, outcome=Outcome.PASSED, started_at=began, finished_at=ended)


def test_pages_and_the_second_recovery_are_no_part_of_the_recovery_time() -> None:
    phases = [
        phase("choose.pick_point__a", 0, 5), phase("restore.recover_point__a", 6, 20),
        phase("verify.compare__a", 21, 30), phase("pages.check_structure__a", 31, 60),
        phase("second.recover_second__a", 61, 90),
    ]  # fmt: skip
    assert seconds_of(phases) == 30
    # While another source is still compared, the first one's pages cost no time of their own; alone they do not count.
    other = [phase("verify.compare__b", 40, 70)]
    assert seconds_of([*phases, *other]) == 70 - 9
