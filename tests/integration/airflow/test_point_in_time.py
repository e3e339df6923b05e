"""Back to a second on a real Airflow: rehearsed and in an incident; red when it did not get there, or cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from include.recovery.errors import LifeboatError
from include.recovery.evidence.history import read_report
from include.recovery.evidence.model import IncidentReport
from include.recovery.evidence.verdict import verdict
from include.recovery.postgres.heartbeat import beat
from tests.fixtures.airflow_server import AirflowServer, Run, wait_until
from tests.fixtures.harbor import APPROVAL, decide
from tests.fixtures.small_systems import PHYSICAL as SYSTEM

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
RUNBOOK, BASE = f"disaster_recovery__{SYSTEM}", f"backup__{SYSTEM}__weekly-full"


@contextmanager
def beating(server: AirflowServer) -> Iterator[None]:
    """The heartbeat, each second; it misses some while the database is closed."""
    workspace = server.workspace()
    source = workspace.server(workspace.system(SYSTEM).source("main-db"))
    end = threading.Event()

    def work() -> None:
        while not end.wait(1):
            try:
                beat(source)
            except (LifeboatError, psycopg.Error):
                continue

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.fixture
def base(airflow_server: AirflowServer) -> None:
    """A base backup in both regions."""
    if not airflow_server.workspace().catalog().backups(SYSTEM, "main-db", "pgbackrest"):
        run = airflow_server.run(BASE)
        assert run.state == "success", run.tasks()


@pytest.fixture
def clean_lighthouse(airflow_server: AirflowServer) -> Iterator[set[str]]:
    """The databases before; after the test the one that was live then is live again, and nothing else is left."""
    before = airflow_server.databases(SYSTEM)
    yield before
    cluster = airflow_server.clusters[SYSTEM]
    left = airflow_server.databases(SYSTEM) - before
    with cluster.connect() as connection:
        for name in left:
            if name.startswith(f"{SYSTEM}_before_"):
                connection.execute(f"DROP DATABASE {SYSTEM} WITH (FORCE)".encode())
                connection.execute(f'ALTER DATABASE "{name}" RENAME TO {SYSTEM}'.encode())
            else:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        connection.execute(f"ALTER DATABASE {SYSTEM} ALLOW_CONNECTIONS true".encode())


def send(server: AirflowServer, *words: str) -> datetime:
    """Write signals; the moment after their commit, by the server's clock."""
    with server.database(SYSTEM) as connection:
        for word in words:
            connection.execute("INSERT INTO signals (sent) VALUES (%s)", (word,))
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return row[0].astimezone(UTC)


def sent(server: AirflowServer, database: str = SYSTEM) -> list[str]:
    with server.database(SYSTEM, database) as connection:
        return [row[0] for row in connection.execute("SELECT sent FROM signals ORDER BY id")]


def archive(server: AirflowServer) -> None:
    """Close the segment and wait until it is archived."""
    with server.database(SYSTEM) as connection:
        connection.execute("SELECT pg_create_restore_point('closing')")
        (name,) = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()  # type: ignore[misc]
        connection.execute("SELECT pg_switch_wal()")

        def there() -> bool:
            row = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
            return bool(row and (row[0] or "")[:24] >= name)

        wait_until(there, 60, lambda: f"{name} is not archived")


def start(server: AirflowServer, mode: str, moment: str) -> Run:
    client = server.client("grace")
    conf = {"scenario": "point_in_time", "mode": mode, "recovery_point": moment}
    return Run(client, RUNBOOK, client.trigger(RUNBOOK, conf))


def report_of(server: AirflowServer, run: Run) -> IncidentReport:
    found = read_report(server.workspace().store("primary"), run.xcom("close.report")["report"])
    assert isinstance(found, IncidentReport)
    return found


@pytest.mark.demand("L15", "D6")
@pytest.mark.usefixtures("base")
def test_a_rehearsal_goes_back_to_a_second_and_leaves_the_live_server_alone(
    airflow_server: AirflowServer, clean_lighthouse: set[str]
) -> None:
    with beating(airflow_server):
        time.sleep(2)
        moment = send(airflow_server, "before the second")
        time.sleep(1.1)
        send(airflow_server, "after the second")
        archive(airflow_server)
        # The system's time zone is UTC: a time without an offset is in it.
        run = start(airflow_server, "rehearsal", moment.replace(tzinfo=None).isoformat(" "))
        assert run.wait(400) == "success", run.tasks()
    assert set(run.tasks().values()) == {"success"}
    live = sent(airflow_server)
    assert live[-1] == "after the second"
    assert airflow_server.databases(SYSTEM) == clean_lighthouse
    assert airflow_server.scratch_of(run) == []

    said = run.log("assess.make_plan")
    assert "that second: everything that was committed by" in said
    assert "the log is archived without a gap until" in said
    assert "cluster recovered to that second" in run.log("restore.load__main-db")
    report = report_of(airflow_server, run)
    assert verdict(report) == ()
    (source,) = report.sources
    assert (source.kind, source.snapshot_at) == ("pgbackrest", moment)
    assert source.comparison is not None
    assert source.comparison.identical
    assert source.point_in_time is not None
    assert source.point_in_time.to == "that second"
    assert "heartbeat at the target" in {check.name for check in report.checks}
    assert report.rto.met
    assert source.rpo.seconds is not None
    assert source.rpo.seconds < 120, "the age of the second, not of the base backup"


@pytest.mark.usefixtures("base")
def test_a_second_that_the_heartbeat_does_not_witness_turns_a_rehearsal_red(
    airflow_server: AirflowServer, clean_lighthouse: set[str]
) -> None:
    with beating(airflow_server):
        time.sleep(2)
    time.sleep(12)  # twice as long as one may be missing
    moment = send(airflow_server, "nobody was beating")
    time.sleep(1.1)
    send(airflow_server, "and still nobody")
    archive(airflow_server)
    run = start(airflow_server, "rehearsal", moment.isoformat())
    assert run.wait(400) == "failed", run.tasks()
    assert run.tasks()["verify.compare__main-db"] == "failed"
    assert run.tasks()["resume.swap_in__main-db"] == "upstream_failed"
    assert "work is missing, or the heartbeat stood still" in run.log("verify.compare__main-db")
    assert any("heartbeat at the target" in failure for failure in verdict(report_of(airflow_server, run)))
    assert airflow_server.databases(SYSTEM) == clean_lighthouse
    assert airflow_server.scratch_of(run) == []


@pytest.mark.usefixtures("base")
def test_a_second_after_the_last_wal_is_refused_before_anybody_is_asked(airflow_server: AirflowServer) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    run = start(airflow_server, "incident", later.isoformat())
    assert run.wait() == "failed"
    assert run.task("assess.make_plan")["try_number"] == 1, "the same question was asked twice"
    assert "lies after the last archived WAL" in run.log("assess.make_plan")
    assert run.tasks()[APPROVAL] == "upstream_failed"


@pytest.mark.demand("L15", "R6")
@pytest.mark.usefixtures("base")
def test_an_incident_goes_back_to_the_second_before_and_keeps_what_was_there(
    airflow_server: AirflowServer, clean_lighthouse: set[str]
) -> None:
    with beating(airflow_server):
        time.sleep(2)
        moment = send(airflow_server, "the last good one")
        good = sent(airflow_server)
        time.sleep(1.1)
        with airflow_server.database(SYSTEM) as connection:
            connection.execute("DELETE FROM lamps")
        send(airflow_server, "all lamps are gone")
        archive(airflow_server)
        run = start(airflow_server, "incident", moment.isoformat())
        decide(airflow_server, run)
        assert run.wait(400) == "success", run.tasks()
        time.sleep(3)  # the heartbeat goes on in the database that has taken the place
    assert sent(airflow_server) == good
    with airflow_server.database(SYSTEM) as connection:
        assert connection.execute("SELECT count(*) FROM lamps").fetchone() == (500,)
        assert connection.execute("SELECT at > %s FROM lifeboat.heartbeat", (moment,)).fetchone() == (True,)
    (kept,) = [name for name in airflow_server.databases(SYSTEM) if name.startswith(f"{SYSTEM}_before_")]
    with airflow_server.clusters[SYSTEM].connect() as connection:
        connection.execute(f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true'.encode())
    assert sent(airflow_server, kept)[-1] == "all lamps are gone"
    assert report_of(airflow_server, run).approvals[0].person == "ada"
    assert airflow_server.scratch_of(run) == []
