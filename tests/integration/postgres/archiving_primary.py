"""A server that archives its log into a folder, load on it, and copies of it that are recovered to a point."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.lab.ports import LOOPBACK, free_ports, wait_for
from include.lab.postgres import DURABLE, SUPERUSER, PostgresCluster, binary
from include.recovery.catalog.points import RecoveryPoint
from include.recovery.errors import LifeboatError
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.server import PostgresServer
from tests.fixtures.shared import SharedServers

PASSWORDS = {"backup_password": "back'up", "restore_password": "re\\store"}
TOTAL = 100_000
SCHEMA = f"""
    CREATE ROLE shop NOLOGIN;
    CREATE SCHEMA shop AUTHORIZATION shop;
    -- What leaves one table enters the other: all together there is always as much.
    CREATE TABLE shop.ledger_a (id int PRIMARY KEY, amount bigint NOT NULL);
    CREATE TABLE shop.ledger_b (id int PRIMARY KEY, amount bigint NOT NULL);
    INSERT INTO shop.ledger_a SELECT g, {TOTAL} / 100 FROM generate_series(1, 100) g;
    INSERT INTO shop.ledger_b SELECT g, 0 FROM generate_series(1, 100) g;
    -- Locked in the order of names, leaves would come before their parent.
    CREATE TABLE shop.z_events (id bigserial, at timestamptz DEFAULT now(), what text) PARTITION BY RANGE (id);
    CREATE TABLE shop.a_events PARTITION OF shop.z_events FOR VALUES FROM (0) TO (500);
    CREATE TABLE shop.b_events PARTITION OF shop.z_events FOR VALUES FROM (500) TO (MAXVALUE);
    CREATE TABLE shop."Order" (id bigserial PRIMARY KEY, note text);
    CREATE TABLE shop.item (id bigserial PRIMARY KEY, of bigint NOT NULL REFERENCES shop."Order");
    CREATE UNLOGGED TABLE shop.cache (a int);
    INSERT INTO shop.cache VALUES (1);
    ALTER TABLE shop.ledger_a OWNER TO shop;
    SELECT lo_from_bytea(0, 'large');
"""
TRANSFER = """
    \\set n random(1, 100)
    \\set much random(1, 9)
    BEGIN;
    UPDATE shop.ledger_a SET amount = amount - :much WHERE id = :n;
    INSERT INTO shop.z_events (what) VALUES ('moved');
    UPDATE shop.ledger_b SET amount = amount + :much WHERE id = :n;
    WITH made AS (INSERT INTO shop."Order" (note) VALUES (md5(random()::text)) RETURNING id)
    INSERT INTO shop.item (of) SELECT id FROM made;
    COMMIT;
"""
BALANCE = "SELECT (SELECT sum(amount) FROM shop.ledger_a) + (SELECT sum(amount) FROM shop.ledger_b)"
ORPHANS = 'SELECT count(*) FROM shop.item i WHERE NOT EXISTS (SELECT FROM shop."Order" o WHERE o.id = i.of)'


@dataclass(frozen=True)
class Primary:
    """A server that archives its log into a folder, with a physical copy taken before everything else."""

    cluster: PostgresCluster
    archive: Path
    base: Path
    admin: PostgresServer

    @property
    def reader(self) -> PostgresServer:
        """The database as the backup role."""
        return replace(self.admin, user="lifeboat_backup", password=PASSWORDS["backup_password"])

    def execute(self, *statements: str) -> None:
        with self.admin.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, query: str) -> Any:
        with self.admin.connect() as connection:
            return value(connection, query)

    def archived(self) -> None:
        """Close the segment, and wait until the archive has it."""
        with self.admin.connect() as connection:
            segment = value(connection, "SELECT pg_walfile_name(pg_switch_wal())")
        wait_for("the archive", (self.archive / segment).exists, seconds=60, alive=lambda: True)


def value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture(scope="module")
def primary(
    shared_servers: SharedServers, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Primary]:
    directory = tmp_path_factory.mktemp("points")
    archive, base = directory / "archive", directory / "base"
    archive.mkdir()
    settings = {
        **DURABLE, "archive_mode": "on", "autovacuum": "off",
        # Commits that are in the log and not yet over: what a point that did not wait for writers would get wrong.
        "commit_delay": "5000", "commit_siblings": "1",
        "archive_command": f"'cp %p {archive}/%f.new && mv {archive}/%f.new {archive}/%f'",
    }
    cluster = PostgresCluster(
        f"points-{worker_id}", shared_servers.directory / f"points-{worker_id}", free_ports(1)[0],
        shared_servers.registry, secrets.token_urlsafe(16), settings,
    )
    cluster.start()
    server = PostgresServer(host=LOOPBACK, port=cluster.port, user=SUPERUSER, password=cluster.password)
    with server.connect() as connection:
        connection.execute("CREATE DATABASE bench TEMPLATE template0")
    made = Primary(cluster, archive, base, server.with_database("bench"))
    pgbench(made, "-i", "-s", "2", "-q").wait()
    made.execute(SCHEMA)
    prepare(made.admin, **PASSWORDS)
    socket = ["-h", str(cluster.socket_directory), "-p", str(cluster.port), "-U", SUPERUSER]
    subprocess.run([binary("pg_basebackup"), *socket, "-D", base, "-X", "none", "-c", "fast", "--no-sync"], check=True,
                   capture_output=True)  # fmt: skip
    yield made
    cluster.stop()


def pgbench(primary: Primary, *words: str, script: str | None = None) -> subprocess.Popen[bytes]:
    place = ["-h", str(primary.cluster.socket_directory), "-p", str(primary.cluster.port), "-U", SUPERUSER]
    if script is not None:
        file = primary.archive.parent / f"{secrets.token_hex(4)}.sql"
        file.write_text(script, encoding="utf-8")
        words = (*words, "-f", f"{file}@2", "-b", "tpcb-like@1")
    return subprocess.Popen(
        [binary("pgbench"), *place, *words, "bench"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@contextmanager
def write_load(primary: Primary) -> Iterator[None]:
    """Four clients that write as fast as they can, in the order of the application, not of names."""
    process = pgbench(primary, "-n", "-c", "4", "-T", "250", script=TRANSFER)
    try:
        before = primary.value("SELECT sum(xact_commit) FROM pg_stat_database")
        wait_for("the load", lambda: primary.value("SELECT count(*) FROM shop.item") > 50, seconds=30,
                 alive=lambda: process.poll() is None)
        assert process.poll() is None
        yield
        assert process.poll() is None, "the writers had an error"
        assert primary.value("SELECT sum(xact_commit) FROM pg_stat_database") > before
    finally:
        process.terminate()
        process.wait()


@contextmanager
def recovered(
    primary: Primary, point: RecoveryPoint, directory: Path, *, action: str = "promote"
) -> Iterator[PostgresServer]:
    """A copy of the cluster, recovered to a point.

    :param action: ``pause`` leaves it as a standby that takes no writes.
    """
    data = directory / "data"
    shutil.copytree(primary.base, data)
    (data / "pg_wal" / "archive_status").mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    sockets = Path(primary.cluster.directory) / f"r{secrets.token_hex(2)}"
    sockets.mkdir(mode=0o700)
    with (data / "lab.conf").open("a", encoding="utf-8") as file:
        file.write(
            f"port = {port}\nunix_socket_directories = '{sockets}'\nlisten_addresses = ''\narchive_mode = off\n"
            f"restore_command = 'cp {primary.archive}/%f %p'\nrecovery_target_name = '{point.name}'\n"
            f"recovery_target_action = {action}\n"
        )
    (data / "recovery.signal").touch()
    log = directory / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen([binary("postgres"), "-D", data], stdout=output, stderr=output)
    server = PostgresServer(host=str(sockets), port=port, user=SUPERUSER, database=primary.admin.database)

    reached = {"promote": "NOT pg_is_in_recovery()", "pause": "pg_get_wal_replay_pause_state() = 'paused'"}

    def there() -> bool:
        try:
            with server.connect() as connection:
                return bool(value(connection, f"SELECT {reached[action]}"))
        except (LifeboatError, psycopg.Error):  # it is not up yet
            return False

    try:
        wait_for("the copy", there, seconds=120, alive=lambda: process.poll() is None, log=str(log))
        assert f'recovery stopping at restore point "{point.name}"' in log.read_text()
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
