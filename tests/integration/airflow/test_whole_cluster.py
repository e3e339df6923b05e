"""The scenario whole_cluster on a real Airflow: rehearsed beside the live cluster, carried out on a destroyed one."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from include.lab.postgres import PostgresCluster
from tests.fixtures.airflow_server import AirflowServer, Run, wait_until
from tests.fixtures.harbor import APPROVAL, SETTLED, decide
from tests.fixtures.small_systems import PHYSICAL as SYSTEM

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
RUNBOOK, BASE = f"disaster_recovery__{SYSTEM}", f"backup__{SYSTEM}__weekly-full"
SECONDS = 420


@pytest.fixture
def cluster(airflow_server: AirflowServer) -> PostgresCluster:
    """The live cluster, backed up, with its lamps: tests before may have left it without any."""
    with airflow_server.database(SYSTEM) as connection:
        lamps = "SELECT n, 'rock ' || n FROM generate_series(1, 500) n"
        connection.execute(f"INSERT INTO lamps {lamps} ON CONFLICT DO NOTHING".encode())
    if not airflow_server.workspace().catalog("primary").backups(SYSTEM, "main-db", "pgbackrest"):
        run = airflow_server.run(BASE, seconds=480)
        # What is checked behind it may be late on a busy machine; that the backup is there is what counts here.
        assert run.tasks()["back_up.full__main-db__primary"] == "success", run.tasks()
    return airflow_server.clusters[SYSTEM]


def start(server: AirflowServer, mode: str) -> Run:
    client = server.client("grace")
    conf = {"scenario": "whole_cluster", "mode": mode, "recovery_point": "newest"}
    return Run(client, RUNBOOK, client.trigger(RUNBOOK, conf))


def send(server: AirflowServer, text: str) -> None:
    """A row, and its WAL in the archive."""
    with server.database(SYSTEM) as connection:
        connection.execute("INSERT INTO signals (sent) VALUES (%s)", [text])
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
        assert row is not None
        connection.execute("SELECT pg_switch_wal()")

        def there() -> bool:
            found = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
            return bool(found and (found[0] or "")[:24] >= row[0])

        wait_until(there, 60, lambda: f"{row[0]} is not archived")


def sent(server: AirflowServer) -> list[str]:
    with server.database(SYSTEM) as connection:
        return [row[0] for row in connection.execute("SELECT sent FROM signals ORDER BY id")]


def timeline(server: AirflowServer) -> str:
    with server.database(SYSTEM) as connection:
        row = connection.execute("SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)").fetchone()
    return str(row[0]) if row else ""


def test_a_rehearsal_exchanges_a_stand_in_and_leaves_the_live_cluster_alone(
    airflow_server: AirflowServer, cluster: PostgresCluster
) -> None:
    send(airflow_server, "before the rehearsal")
    before = (cluster.data.stat().st_ino, sent(airflow_server), timeline(airflow_server))
    run = start(airflow_server, "rehearsal")
    assert run.wait(SECONDS) == "success", run.why()
    assert set(run.tasks().values()) == {"success"}
    assert "WAL arrives" in run.log("resume.reopen__main-db")
    assert (cluster.data.stat().st_ino, sent(airflow_server), timeline(airflow_server)) == before
    assert [path.name for path in cluster.directory.iterdir() if path.name.startswith("data.")] == []
    assert airflow_server.scratch_of(run) == []


@pytest.mark.demand("R6", "L21")
def test_an_incident_brings_a_destroyed_cluster_back_after_an_approval(
    airflow_server: AirflowServer, cluster: PostgresCluster
) -> None:
    send(airflow_server, "just before the disaster")
    rows, old = sent(airflow_server), timeline(airflow_server)
    os.kill(int((cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    cluster.stop()
    shutil.rmtree(cluster.data / "base")
    run = start(airflow_server, "incident")
    run.wait_for_task(APPROVAL, {"awaiting_input"})
    time.sleep(SETTLED)
    assert not (cluster.data / "base").exists(), "something happened before the approval"
    decide(airflow_server, run)
    assert run.wait(SECONDS) == "success", run.why()

    assert sent(airflow_server) == rows
    assert timeline(airflow_server) > old
    assert cluster.registry.alive(cluster.name)
    (kept,) = (path for path in cluster.directory.iterdir() if path.name.startswith("data.before-"))
    assert not (kept / "base").exists()
    send(airflow_server, "after the recovery")
