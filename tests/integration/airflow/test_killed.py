"""kill -9 in the middle of a backup, on a real Airflow: of the task's process, and of the worker that supervises it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.lab.errors import LabError
from tests.fixtures.airflow_server import AirflowServer, Run, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
DAG = "backup__quarry__daily"
DUMP = "back_up.dump__main-db"


def processes() -> Iterator[tuple[int, int, str, str]]:
    """Process id, parent, program and command line of everything that runs."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        yield int(entry.name), int(stat.rpartition(")")[2].split()[1]), stat[stat.find("(") + 1 : stat.rfind(")")], line


def dumps_of(server: AirflowServer) -> dict[int, int]:
    """Every pg_dump of the quarry with its parent."""
    port = str(server.clusters["quarry"].port)
    found = {}
    for pid, parent, program, _ in processes():
        if program in {"pg_dump", "pg_dumpall"}:
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"PGPORT={port}".encode() in environment and b"PGDATABASE=quarry" in environment:
                found[pid] = parent
    return found


def parent_of(pid: int) -> int:
    return next(parent for number, parent, *_ in processes() if number == pid)


def start_and_wait_for_dump(server: AirflowServer) -> tuple[Run, int]:
    """A backup in the middle of its dump, and the process of its task."""
    client = server.client()
    run = Run(client, DAG, client.trigger(DAG))
    seen: dict[int, int] = {}

    def begun() -> bool:
        seen.update(dumps_of(server))
        return bool(seen)

    wait_until(begun, 120, lambda: f"no pg_dump: {run.tasks()}")
    # ``setpriv`` becomes pg_dump, so its parent is the process of the task.
    return run, next(iter(seen.values()))


def backups(server: AirflowServer) -> list[str]:
    return [backup.manifest.id for backup in server.workspace().catalog().backups("quarry")]


@pytest.fixture(autouse=True)
def nothing_left(airflow_server: AirflowServer) -> Iterator[None]:
    yield
    wait_until(lambda: not dumps_of(airflow_server), 60, lambda: f"pg_dump survives: {dumps_of(airflow_server)}")


@pytest.mark.parametrize("victim", ["task", "supervisor"])
def test_a_killed_backup_leaves_nothing_and_is_taken_again(airflow_server: AirflowServer, victim: str) -> None:
    before = backups(airflow_server)
    run, task = start_and_wait_for_dump(airflow_server)
    os.kill(task if victim == "task" else parent_of(task), signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{task}").exists(), 10, lambda: "the task lives on without its supervisor")
    wait_until(lambda: not dumps_of(airflow_server), 10, lambda: f"pg_dump survives: {dumps_of(airflow_server)}")
    assert backups(airflow_server) == before, "half a backup is listed"

    assert run.wait(500) == "success", run.tasks()
    assert run.task(DUMP)["try_number"] == 2
    after = backups(airflow_server)
    assert len(after) == len(before) + 1
    catalog = airflow_server.workspace().catalog()
    catalog.sweep(timedelta(0), datetime.now(UTC) + timedelta(hours=1), system="quarry")
    assert not [prefix for prefix in catalog.debris() if prefix.startswith("quarry/")]
    assert backups(airflow_server) == after, "the sweep took a backup with it"


def test_the_second_of_two_runs_refuses_with_a_sentence(airflow_server: AirflowServer) -> None:
    """One DAG allows one run; a second way to the same backup is the command line, or the same tier's other run."""
    from include.recovery.errors import LeaseHeld
    from include.recovery.sources import RunInfo, verbs

    run, _ = start_and_wait_for_dump(airflow_server)
    workspace = airflow_server.workspace()
    system = workspace.system("quarry")
    source = system.source("main-db")
    other = RunInfo(run_id="somebody else", started_by="somebody else")
    with pytest.raises(LeaseHeld, match=DAG):
        verbs("postgres").backup(workspace, system, source, system.tier("daily"), run=other)
    second = run.client.trigger(DAG)
    time.sleep(3)
    assert Run(run.client, DAG, second).state == "queued", "two runs of one backup at once"
    assert run.wait() == "success"
    assert Run(run.client, DAG, second).wait() == "success"


def test_a_drill_whose_server_is_killed_is_red_and_torn_down(airflow_server: AirflowServer) -> None:
    client = airflow_server.client()
    dag = "drill__quarry__weekly"
    run = Run(client, dag, client.trigger(dag))
    run.wait_for_task("restore.load__main-db", {"running"})
    for folder in airflow_server.scratch_of(run):
        postmaster = int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(postmaster, signal.SIGKILL)
    assert run.wait(500) == "failed", run.tasks()
    assert run.tasks()["verdict"] == "failed"
    assert airflow_server.scratch_of(run) == []
    try:
        log = run.log("restore.load__main-db")
    except LabError as error:  # pragma: no cover - what the API says then is the failure
        pytest.fail(str(error))
    assert "SourceUnavailable" in log, log[-6000:]
