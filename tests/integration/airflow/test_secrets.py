"""Planted secrets show nowhere: not in the process list, not in logs, XCom, rendered templates, reports, messages."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from include.lab.postgres import PostgresCluster
from tests.fixtures.airflow_server import AirflowServer, Run
from tests.fixtures.servers import ObjectStores, SlackSink

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
RUNS = {
    "backup__harbor__daily": {},
    "drill__harbor__weekly": {},
    "disaster_recovery__harbor": {"scenario": "database_corruption", "mode": "rehearsal", "recovery_point": "newest"},
}


@pytest.fixture
def planted(airflow_server: AirflowServer, object_stores: ObjectStores) -> dict[str, str]:
    """Every secret that the tasks use, by what it opens."""
    found = dict(airflow_server.passwords)
    found |= {f"store {name}": info.password for name, info in object_stores.connections.items()}
    found["signing key"] = airflow_server.lab.secret.signing_key.splitlines()[1]
    found["metadata database"] = airflow_server.lab.secret.airflow_database
    assert all(len(secret) >= 12 for secret in found.values())
    return found


def seen_in(text: str, planted: dict[str, str]) -> list[str]:
    return [name for name, secret in planted.items() if secret in text]


class CommandLines(threading.Thread):
    """Watches the command lines of all processes, as anybody on the machine could."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue


def test_no_secret_shows_anywhere(
    airflow_server: AirflowServer, planted: dict[str, str], slack_sink: SlackSink, postgres_cluster: PostgresCluster
) -> None:
    watch = CommandLines()
    watch.start()
    runs = [airflow_server.run(dag_id, conf) for dag_id, conf in RUNS.items()]
    runs.append(failing_run(airflow_server))
    watch.ended.set()
    watch.join()
    assert any("pg_dump" in line for line in watch.seen), "the test has watched nothing"

    found = {f"ps: {line[:80]}": names for line in watch.seen if (names := seen_in(line, planted))}
    for path in airflow_server.lab.home.joinpath("logs").rglob("*.log"):
        if names := seen_in(path.read_text(errors="replace"), planted):
            found[f"log {path.name}"] = names
    for path in airflow_server.lab.registry.logs.glob("*.log"):
        if names := seen_in(path.read_text(errors="replace"), planted):
            found[f"log {path.name}"] = names
    with postgres_cluster.connect("airflow") as connection:
        for table in ("xcom", "rendered_task_instance_fields", "dag_run", "serialized_dag", "log", "hitl_detail"):
            rows = connection.execute(f"SELECT row_to_json(t)::text FROM {table} t".encode()).fetchall()
            if names := seen_in("\n".join(row[0] for row in rows), planted):
                found[f"table {table}"] = names
    store = airflow_server.workspace().store("primary")
    for info in store.list("harbor/"):
        if info.key.endswith((".json", ".html")):
            content, _ = store.get(info.key)
            if names := seen_in(content.decode(errors="replace"), planted):
                found[info.key] = names
    if names := seen_in(json.dumps(slack_sink.messages()), planted):
        found["slack"] = names
    assert found == {}
    assert {run.state for run in runs[:-1]} == {"success"}


def failing_run(server: AirflowServer) -> Run:
    """A run that fails at the database, so that exceptions are looked through too."""
    with server.clusters["harbor"].connect() as connection:
        connection.execute(b"ALTER ROLE harbor_backup PASSWORD 'another one'")
    try:
        run = server.run("backup__harbor__daily")
        assert run.state == "failed"
        assert "password authentication failed" in run.log("precheck.inspect__main-db")
    finally:
        with server.clusters["harbor"].connect() as connection:
            connection.execute(f"ALTER ROLE harbor_backup PASSWORD '{server.passwords['harbor_backup']}'".encode())
    return run
