"""What watches, on a real Airflow: a backup that waits for its server, the watchdog."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from tests.fixtures.airflow_server import AirflowServer, Run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PRECHECK = "precheck.inspect__main-db"


def test_a_backup_waits_without_a_slot_while_sessions_queue(airflow_server: AirflowServer) -> None:
    client = airflow_server.client()
    with queue(airflow_server, 12):
        run = Run(client, "backup__harbor__daily", client.trigger("backup__harbor__daily"))
        run.wait_for_task(PRECHECK, {"up_for_reschedule"})
        assert "the backup waits 60 s: 12 sessions wait for locks, 10 are allowed" in run.log(PRECHECK, 1)
        assert run.tasks()["back_up.dump__main-db"] in {"None", "scheduled"}
    assert run.wait() == "success", run.tasks()
    assert run.task(PRECHECK)["try_number"] == 1, "to wait is no failure"


@pytest.mark.demand("L26")
def test_the_watchdog_looks_at_every_system(airflow_server: AirflowServer) -> None:
    run = airflow_server.run("watchdog")
    assert run.state == "success", (run.tasks(), run.log("watch"))
    assert "3 systems looked at" in str(run.xcom("watch")["sentence"])
    store = airflow_server.workspace().store("primary")
    assert b'"known"' in store.get("harbor/watchdog/alarms.json")[0]


@contextmanager
def queue(server: AirflowServer, sessions: int) -> Iterator[None]:
    """So many sessions that wait for one lock."""
    waiting = []
    with ExitStack() as ends:
        with server.database() as holder:
            holder.execute("SELECT pg_advisory_lock(7)")
            for _ in range(sessions):
                session = ends.enter_context(server.database())
                thread = threading.Thread(target=_wait, args=(session,))
                thread.start()
                waiting.append(thread)
            try:
                yield
            finally:
                holder.execute("SELECT pg_advisory_unlock(7)")
        for thread in waiting:
            thread.join(30)


def _wait(session: psycopg.Connection[object]) -> None:
    session.execute("SELECT pg_advisory_lock(7)")
    session.execute("SELECT pg_advisory_unlock(7)")
