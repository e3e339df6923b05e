"""The drill of a cluster on a real Airflow, from the second region's repository: what it proves, what turns it red."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.history import read_report
from include.recovery.evidence.model import DrillReport, Outcome
from include.recovery.evidence.summary import summarise
from include.recovery.evidence.verdict import verdict
from include.recovery.postgres.heartbeat import beat
from include.recovery.stores.s3 import S3Store
from tests.fixtures.airflow_server import AirflowServer, Run, wait_until
from tests.fixtures.servers import ObjectStores
from tests.fixtures.small_systems import PHYSICAL as SYSTEM

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
DRILL, BASE, POINT = f"drill__{SYSTEM}__monthly", f"backup__{SYSTEM}__weekly-full", f"recovery_point__{SYSTEM}"
STANZA = f"{SYSTEM}-main-db"


@pytest.fixture(autouse=True)
def beating(airflow_server: AirflowServer) -> Iterator[None]:
    """The heartbeat, each second; and the same folder of pgBackRest as the tasks have."""
    workspace = airflow_server.workspace()
    server = workspace.server(workspace.system(SYSTEM).source("main-db"))
    end = threading.Event()

    def work() -> None:
        while not end.wait(1):
            beat(server)

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFEBOAT_PGBACKREST", airflow_server.lab.environment["LIFEBOAT_PGBACKREST"])
        yield
    end.set()
    thread.join()


@pytest.fixture
def archive(object_stores: ObjectStores) -> S3Store:
    """The second region's repository."""
    return S3Store.from_connection("offsite", "lifeboat-offsite-repo", object_stores.repositories["offsite"])


def green(run: Run) -> Run:
    assert run.state == "success", run.tasks()
    return run


def archived(server: AirflowServer) -> str:
    """Close the segment and wait until it is archived; its name."""
    with server.database(SYSTEM) as connection:
        connection.execute("SELECT pg_create_restore_point('closing')")
        (name,) = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()  # type: ignore[misc]
        connection.execute("SELECT pg_switch_wal()")

        def there() -> bool:
            row = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
            return bool(row and (row[0] or "")[:24] >= name)

        wait_until(there, 60, lambda: f"{name} is not archived")
    return str(name)


def new_point(server: AirflowServer) -> tuple[str, str]:
    """A base backup where there is none yet, some work, a recovery point, archived; its name, a segment before it."""
    if not server.workspace().catalog("offsite").backups(SYSTEM, "main-db", "pgbackrest"):
        green(server.run(BASE))
        time.sleep(12)  # the window begins with the first heartbeat behind the base
    with server.database(SYSTEM) as connection:
        connection.execute("INSERT INTO signals (sent) VALUES ('before the point')")
    segment = archived(server)
    point = green(server.run(POINT)).xcom("make_point__main-db")
    assert point["kind"] == "verifiable", point
    with server.database(SYSTEM) as connection:
        connection.execute("INSERT INTO signals (sent) VALUES ('after the point')")
    archived(server)
    return str(point["point"]), segment


def report_of(server: AirflowServer, run: Run) -> DrillReport:
    found = read_report(server.workspace().store("primary"), run.xcom("report")["report"])
    assert isinstance(found, DrillReport)
    return found


@pytest.mark.demand("D6", "R13", "L24")
def test_a_cluster_is_recovered_from_the_other_region_and_proven_to_the_row(airflow_server: AirflowServer) -> None:
    point, _ = new_point(airflow_server)
    run = green(airflow_server.run(DRILL))
    assert set(run.tasks().values()) == {"success"}
    picked = run.xcom("choose.pick_point__main-db")
    assert picked["point"] == point

    backup = airflow_server.workspace().catalog("offsite").backup(SYSTEM, "main-db", "pgbackrest", picked["backup"])
    proofs = {proof.level: proof for proof in backup.proofs if proof.ok}
    assert backup.level is ProofLevel.VALIDATED
    assert proofs[ProofLevel.IDENTICAL].store == "offsite"
    assert (proofs[ProofLevel.IDENTICAL].seconds or 0) > 0
    assert any("(RTO 1 h)" in proof.detail and (proof.seconds or 0) > 0 for proof in backup.proofs)

    report = report_of(airflow_server, run)
    assert verdict(report) == ()
    (source,) = report.sources
    assert source.comparison is not None
    assert source.comparison.identical
    aimed = source.point_in_time
    assert aimed is not None
    assert (aimed.point, aimed.base) == (point, picked["label"])
    assert aimed.second is not None
    assert aimed.second_loss_seconds is not None
    assert source.rpo.met
    assert source.rpo.seconds == aimed.archive_age_seconds
    assert report.rto.met
    assert (report.rto.seconds or 0) < report.seconds - (source.restore_seconds or 0), "the second recovery counts too"
    names = {check.name for check in report.checks}
    assert {"there is somebody", "structure of pages", "checksums of pages", "heartbeat at the second"} <= names

    shown = summarise(airflow_server.workspace(), SYSTEM, datetime.now(UTC))
    (status,) = shown.sources
    assert shown.proven_how == "monthly drill"
    assert status.recoverable_by.startswith("WAL in store ")
    assert status.age_seconds is not None
    assert status.age_seconds < 60
    assert shown.problems == ()
    assert airflow_server.scratch_of(run) == [], "the scratch server is still there"


def test_a_missing_segment_turns_it_red_and_is_named(airflow_server: AirflowServer, archive: S3Store) -> None:
    point, segment = new_point(airflow_server)
    (found,) = (info for info in archive.list(f"pgbackrest/archive/{STANZA}/") if f"/{segment}-" in info.key)
    content, _ = archive.get(found.key)
    archive.delete(found.key)
    try:
        run = airflow_server.run(DRILL, {"recovery_point": point})
    finally:
        archive.put(found.key, content)
    assert run.state == "failed"
    states = {task.removesuffix("__main-db"): state for task, state in run.tasks().items()}
    assert (states["choose.check_archive"], states["choose.pick_point"]) == ("failed", "failed")
    assert states["verify.compare"] == "upstream_failed"
    assert states["scratch.stop"] == states["report"] == "success"
    assert f"WAL segment {segment} is missing" in run.log("choose.check_archive__main-db")
    failures = verdict(report_of(airflow_server, run))
    assert any(f"WAL segment {segment} is missing" in failure for failure in failures)
    assert airflow_server.scratch_of(run) == []


def test_a_killed_server_turns_it_red_though_the_second_recovery_succeeds(airflow_server: AirflowServer) -> None:
    new_point(airflow_server)
    client = airflow_server.client()
    run = Run(client, DRILL, client.trigger(DRILL))
    run.wait_for_task("restore.recover_point__main-db", {"success"}, 180)
    (folder,) = airflow_server.scratch_of(run)
    os.kill(int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)
    assert run.wait(500) == "failed", run.tasks()
    states = {task.removesuffix("__main-db"): state for task, state in run.tasks().items()}
    assert "failed" in {states["verify.compare"], states["verify.query"], states["pages.check_structure"]}
    assert states["pages.check_checksums"] == "failed"
    assert states["second.check_heartbeat"] == states["scratch.stop"] == states["report"] == "success"
    report = report_of(airflow_server, run)
    assert verdict(report)
    assert Outcome.FAILED in {phase.outcome for phase in report.phases}
    assert airflow_server.scratch_of(run) == []
