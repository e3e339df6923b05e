"""CSV exports: of the backup's own snapshot, the same from a restored copy, and red when they are not."""

from __future__ import annotations

import csv
import io
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import CompleteBackup, ProofLevel
from include.recovery.errors import BackupNotFound, LifeboatError, PartDamaged, SourceError, SourceUnavailable
from include.recovery.fingerprint.model import Comparison
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.backup import BackupOptions, back_up_database
from include.recovery.postgres.exports import ExportQuery
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources import postgres
from include.recovery.sources.run_info import RunInfo
from tests.fixtures.content import SYSTEM, ContentPlace
from tests.integration.postgres.conftest import Depot

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
TABLE = """
    CREATE TABLE public.user_progress (
        user_id bigint PRIMARY KEY, progress_data jsonb, achievements text[], favorites text, last_updated timestamptz,
        score double precision, "a ""quoted"" name" money
    );
    INSERT INTO public.user_progress
        SELECT n, jsonb_build_object('lesson', n % 17, 'said', E'a "word", and\nanother'), ARRAY['é', 'z,' || n, NULL],
               CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'Zoë "' || n || '"' END,
               timestamptz '2026-03-29 00:59:59.123456+00' + n * interval '7 minutes', n / 3.0,
               (n * 1.25)::numeric::money
          FROM generate_series(1, 3000) n;
    CREATE VIEW public.active AS SELECT user_id, favorites FROM public.user_progress WHERE favorites IS NOT NULL;
"""
PROGRESS = {"name": "user-progress", "table": "public.user_progress", "order_by": ["user_id"], "note": "for the users"}


def write(server: PostgresServer, script: str) -> None:
    with server.connect() as connection:
        connection.execute(script.encode())


class Bench:
    """A system with this database, and what is done with it through the verbs."""

    def __init__(self, place: ContentPlace, server: PostgresServer) -> None:
        self.place, self.server = place, server
        source = place.system.source("main-db")
        assert isinstance(source, PostgresSource)
        self.source = source

    def back_up(self) -> CompleteBackup:
        run = RunInfo(run_id=secrets.token_hex(3), started_by="a test")
        manifest = postgres.backup(self.place.workspace, self.place.system, self.source, None, run=run)
        return self.again(manifest.id)

    def again(self, backup: str) -> CompleteBackup:
        return self.place.workspace.catalog().backup(SYSTEM, "main-db", "postgres", backup)

    @contextmanager
    def copy(self, backup: CompleteBackup) -> Iterator[PostgresServer]:
        name = f"{self.server.database}_copy"
        postgres.restore(self.place.workspace, backup, self.server, database=name, statistics=False)
        try:
            yield self.server.with_database(name)
        finally:
            with self.server.with_database("postgres").connect() as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def compare(self, backup: CompleteBackup, copy: PostgresServer, **more: Any) -> Comparison:
        return postgres.compare(self.place.workspace, backup, copy, **more)[0]

    def read(self, backup: CompleteBackup, name: str) -> bytes:
        with postgres.read_export(self.place.workspace, backup, name) as stream:
            return stream.read()


@pytest.fixture
def bench(fresh_database: PostgresServer, content_place: Callable[..., ContentPlace]) -> Callable[..., Bench]:
    """A database with progress of users, and a policy with these exports."""
    write(fresh_database, TABLE)

    def make(*exports: dict[str, Any]) -> Bench:
        name = fresh_database.database
        login = {"host": fresh_database.host, "port": fresh_database.port, "login": fresh_database.user,
                 "password": fresh_database.password}  # fmt: skip
        place = content_place({
            "name": "main-db", "kind": "postgres", "database": name, "exports": list(exports),
            "connections": {"backup": "depot_backup", "restore": "depot_restore"},
        }, connections={"depot_backup": login, "depot_restore": login})  # fmt: skip
        return Bench(place, fresh_database)

    return make


@pytest.mark.demand("L14")
def test_an_export_is_of_the_snapshot_of_its_backup_and_the_same_from_a_copy(bench: Callable[..., Bench]) -> None:
    """While the backup is taken, somebody writes all the time: the CSV has just the rows that the dump has."""
    made = bench(PROGRESS, {"name": "active", "sql": "select * from active -- the view"})
    done = threading.Event()

    def go_on() -> None:
        with made.server.connect() as connection:
            while not done.is_set():
                connection.execute(
                    "INSERT INTO public.user_progress SELECT max(user_id) + 1, '{}' FROM public.user_progress"
                )
                connection.execute("UPDATE public.user_progress SET favorites = favorites || '!' WHERE user_id = 17")

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        backup = made.back_up()
    finally:
        done.set()
        writer.join()
    export, active = backup.manifest.exports
    fingerprint = backup.manifest.fingerprint
    assert fingerprint is not None
    assert export.rows == fingerprint.tables["public.user_progress"].rows >= 3000
    assert export.note == "for the users"
    parts = [part.name for part in backup.manifest.parts if part.role == "export"]
    assert parts == ["export-user-progress", "export-active"]

    header, *rows = csv.reader(io.StringIO(made.read(backup, "user-progress").decode(), newline=""))
    assert tuple(header) == export.columns
    assert header[-1] == 'a "quoted" name'
    assert [int(row[0]) for row in rows] == list(range(1, export.rows + 1))
    assert rows[1][3] == 'Zoë "2"'
    assert rows[1][4] == "2026-03-29 01:13:59.123456+00"
    assert active.rows == len(made.read(backup, "active").splitlines()) - 1

    with made.copy(backup) as copy:
        found = made.compare(backup, copy)
        assert found.identical, found.differences
        assert "and 2 exports compared" in found.verdict
        assert made.again(backup.manifest.id).level is ProofLevel.IDENTICAL
        with copy.connect() as connection:
            row = connection.execute("SELECT favorites FROM public.user_progress WHERE user_id = 17").fetchone()
        assert row == (rows[16][3],)


def test_settings_and_the_order_on_disk_do_not_change_an_export(bench: Callable[..., Bench]) -> None:
    by_text = {"name": "by-text", "sql": "select favorites, score from user_progress;", "order_by": ["favorites"]}
    made = bench(PROGRESS, by_text)
    backup = made.back_up()
    with made.copy(backup) as copy:
        write(copy, f"""
            ALTER DATABASE "{copy.database}" SET TimeZone = 'Asia/Kathmandu';
            ALTER DATABASE "{copy.database}" SET DateStyle = 'German';
            ALTER DATABASE "{copy.database}" SET extra_float_digits = -10;
            ALTER DATABASE "{copy.database}" SET search_path = nowhere;
            ALTER DATABASE "{copy.database}" SET bytea_output = 'escape';
            UPDATE public.user_progress SET score = score WHERE user_id % 2 = 0;
        """)  # fmt: skip
        # Settings of a database are compared as definitions; no row and no export differs.
        assert {each.kind for each in made.compare(backup, copy).differences} <= {"definition"}
        write(copy, "UPDATE public.user_progress SET score = score + 1e-9 WHERE user_id = 5")
        named = {each.object: each.message for each in made.compare(backup, copy).differences}
        assert "but not the same ones" in named["export user-progress"]
        assert "export by-text" in named
        write(copy, "DELETE FROM public.user_progress WHERE user_id = 6")
        named = {each.object: each.message for each in made.compare(backup, copy).differences}
        assert named["export user-progress"] == "export user-progress has 2,999 rows from the copy, 3,000 in the backup"


def test_a_query_that_cannot_be_repeated_is_a_named_difference(bench: Callable[..., Bench]) -> None:
    made = bench({"name": "odd", "sql": "select clock_timestamp() as at"}, {"name": "active", "table": "public.active"})
    backup = made.back_up()
    with made.copy(backup) as copy:
        write(copy, "DROP VIEW public.active")
        found = made.compare(backup, copy)
        named = {each.object: each.message for each in found.differences if each.kind == "export"}
        assert "depends on anything but the data" in named["export odd"]
        assert "cannot be made from the copy" in named["export active"]
        assert not found.identical
        # Of some tables alone, no more is said than that they were restored.
        assert made.compare(backup, copy, tables=["public.user_progress"]).equal_as_far_as_compared


@pytest.mark.parametrize(("export", "says"), [
    ({"sql": "select nothing from user_progress"}, 'column "nothing" does not exist'),
    ({"table": "public.no_such_table"}, 'relation "public.no_such_table" does not exist'),
    ({"table": "public.user_progress", "columns": ["wrong"]}, 'column "wrong" does not exist'),
    ({"table": "public.user_progress", "order_by": ["wrong"]}, "is to be ordered by wrong, which its result does not"),
    ({"sql": "with gone as (delete from user_progress returning 1) select * from gone"}, "WITH"),
    ({"sql": "select nextval('pg_catalog.x')"}, "does not exist"),
])  # fmt: skip
def test_a_query_that_is_wrong_is_known_before_the_backup_and_spoils_it(
    bench: Callable[..., Bench], export: dict[str, Any], says: str
) -> None:
    made = bench({"name": "wrong", **export})
    with pytest.raises(SourceError, match=says):
        postgres.precheck(made.place.workspace, made.place.system, made.source)
    with pytest.raises(SourceError, match=says):
        made.back_up()
    assert made.place.workspace.catalog().backups(SYSTEM) == []


def test_an_export_can_be_empty(bench: Callable[..., Bench]) -> None:
    made = bench({"name": "nobody", "table": "public.user_progress", "columns": ["user_id"]})
    write(made.server, "TRUNCATE public.user_progress")
    backup = made.back_up()
    assert made.read(backup, "nobody") == b"user_id\n"
    assert backup.manifest.exports[0].rows == 0
    with made.copy(backup) as copy:
        assert made.compare(backup, copy).identical


def test_a_server_that_goes_away_in_the_middle(bench: Callable[..., Bench]) -> None:
    made = bench({"name": "slow", "sql": "select n, pg_sleep(0.01) from generate_series(1, 100000) n"})

    def end_it() -> None:
        with made.server.connect() as connection:
            found: object = None
            while not found:
                found = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'COPY (SELECT%%pg_sleep%%' AND pid <> pg_backend_pid() AND datname = %s",
                    (made.server.database,),
                ).fetchone()

    killer = threading.Thread(target=end_it)
    killer.start()
    with pytest.raises(SourceUnavailable, match="export slow failed"):
        made.back_up()
    killer.join()
    assert made.place.workspace.catalog().backups(SYSTEM) == []


def test_a_damaged_or_unknown_export(bench: Callable[..., Bench]) -> None:
    made = bench(PROGRESS)
    backup = made.back_up()
    with pytest.raises(BackupNotFound, match="has no export 'other'; it has user-progress"):
        made.read(backup, "other")
    (part,) = [part for part in backup.manifest.parts if part.role == "export"]
    store = made.place.workspace.store("primary")
    data = store.get(part.volumes[0].key)[0]
    store.put(part.volumes[0].key, data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])
    with pytest.raises(PartDamaged):
        made.read(backup, "user-progress")
    # A database is restored without its exports: nothing of them is read.
    with made.copy(backup):
        pass


def test_an_export_that_is_stopped_leaves_nothing(fresh_database: PostgresServer, depot: Depot) -> None:
    """As when the task is killed: the query is cancelled, at once."""
    stop = threading.Event()
    slow = ExportQuery(name="slow", sql="select n, pg_sleep(1) from generate_series(1, 100) n")
    threading.Timer(1.0, stop.set).start()
    owner = Owner.of_this_process("run-stopped")
    with (
        pytest.raises(LifeboatError),
        depot.catalog.begin("shop", "main-db", "postgres", owner=owner, keyring=depot.keyring) as in_progress,
    ):
        back_up_database(fresh_database, in_progress, BackupOptions(exports=(slow,)), stop=stop)
    assert depot.catalog.backups("shop") == []
    with fresh_database.connect() as connection:
        running = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
        ).fetchone()
    assert running == (0,)
