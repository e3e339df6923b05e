"""The backup role: what it must be able to see, and what it is told when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from include.recovery.errors import InsufficientRights, RowsHidden, SourceError
from include.recovery.postgres.heartbeat import beat, read_heartbeat
from include.recovery.postgres.preflight import check
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from tests.integration.postgres.conftest import Depot, compared

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PASSWORDS = {"backup_password": "back'up", "restore_password": "re\\store"}


def execute(server: PostgresServer, *statements: str) -> None:
    with server.connect() as connection:
        for statement in statements:
            connection.execute(statement.encode())


def roles(server: PostgresServer) -> tuple[PostgresServer, PostgresServer]:
    """The server as the two roles that ``prepare`` makes."""
    return (
        replace(server, user="lifeboat_backup", password=PASSWORDS["backup_password"]),
        replace(server, user="lifeboat_restore", password=PASSWORDS["restore_password"]),
    )


@pytest.fixture
def weak(fresh_database: PostgresServer) -> Iterator[PostgresServer]:
    """A database with two tables, seen by a role that may do nothing yet."""
    execute(
        fresh_database,
        "DROP ROLE IF EXISTS weak", "CREATE ROLE weak LOGIN PASSWORD 'weak-password'",
        "CREATE TABLE public.seen AS SELECT 1 AS a", 'CREATE TABLE public."un Seen" (a serial)',
        "CREATE SCHEMA hidden", "CREATE TABLE hidden.away AS SELECT 1 AS a",
    )
    yield replace(fresh_database, user="weak", password="weak-password")
    execute(fresh_database, "DROP OWNED BY weak", "DROP ROLE weak")


def test_everything_that_is_missing_is_named_at_once(weak: PostgresServer, fresh_database: PostgresServer) -> None:
    execute(fresh_database, "GRANT SELECT ON public.seen TO weak", "SELECT lo_create(777)")
    with pytest.raises(InsufficientRights) as caught:
        check(weak)
    message = str(caught.value)
    for part in ("USAGE on schema hidden", "SELECT on table hidden.away", 'SELECT on table public."un Seen"',
                 'SELECT on sequence public."un Seen_a_seq"', "SELECT on large object 777", "lifeboat prepare"):
        assert part in message
    assert "public.seen" not in message


def test_a_backup_without_rights_on_one_table_fails_and_leaves_nothing(
    weak: PostgresServer, fresh_database: PostgresServer, depot: Depot
) -> None:
    execute(fresh_database, "GRANT SELECT ON public.seen, hidden.away TO weak", "GRANT USAGE ON SCHEMA hidden TO weak")
    with pytest.raises(InsufficientRights, match='SELECT on table public."un Seen"'):
        depot.back_up(weak)
    assert depot.catalog.backups() == []
    assert [info.key for info in depot.store.list("shop/") if "/leases/" not in info.key] == []


def test_row_level_security_that_hides_rows_is_found(
    weak: PostgresServer, fresh_database: PostgresServer, depot: Depot
) -> None:
    execute(
        fresh_database, "GRANT USAGE ON SCHEMA hidden TO weak",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, hidden TO weak",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO weak", "ALTER TABLE public.seen ENABLE ROW LEVEL SECURITY",
    )
    with pytest.raises(RowsHidden, match=r"hide rows of public\.seen from the role; give it BYPASSRLS"):
        depot.back_up(weak)
    assert depot.catalog.backups() == []
    execute(fresh_database, "ALTER ROLE weak BYPASSRLS")
    assert depot.back_up(weak).manifest.fingerprint is not None


def test_an_excluded_table_is_declared_and_its_policies_do_not_matter(
    weak: PostgresServer, fresh_database: PostgresServer, depot: Depot, scratch: ScratchServer
) -> None:
    execute(
        fresh_database, "GRANT USAGE ON SCHEMA hidden TO weak",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, hidden TO weak",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO weak", 'INSERT INTO public."un Seen" VALUES (5)',
        'ALTER TABLE public."un Seen" ENABLE ROW LEVEL SECURITY',
    )
    backup = depot.back_up(weak, exclude={'public."un Seen"': "rebuilt on start"})
    left_out = {entry.what: entry.why for entry in backup.manifest.left_out}
    assert left_out['rows of table public."un Seen"'] == "rebuilt on start"
    assert left_out["passwords of roles"] == "the role may not read pg_authid"
    depot.restore(backup, scratch.server(), "excluded")
    verdict = compared(backup, scratch.server("excluded"))
    assert verdict.identical, verdict.differences
    assert any(entry.object == 'public."un Seen"' for entry in verdict.not_compared)


def test_an_excluded_table_that_does_not_exist_is_an_error(fresh_database: PostgresServer) -> None:
    execute(fresh_database, "CREATE TABLE public.cache_entries (a int)")
    with pytest.raises(SourceError, match=r"excludes public\.cache_entry \(did you mean public\.cache_entries\?\)"):
        check(fresh_database, {"public.cache_entry": "x"})


def test_leaving_a_table_out_silently_is_noticed(
    fresh_database: PostgresServer, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.recovery.postgres import commands

    execute(fresh_database, "CREATE TABLE public.a AS SELECT 1 AS x", "CREATE TABLE public.b AS SELECT 1 AS x")
    honest = commands.dump_rest

    def dishonest(tools: object, snapshot: str, without: object, *, lock_wait: int) -> list[str]:
        return honest(tools, snapshot, [("public", "b")], lock_wait=lock_wait)  # type: ignore[arg-type]

    monkeypatch.setattr(commands, "dump_rest", dishonest)
    with pytest.raises(Exception, match=r"no dump holds the rows of public\.b"):
        depot.back_up(fresh_database)
    assert depot.catalog.backups() == []


def test_the_prepared_roles_can_do_their_work_and_no_more(
    everything: PostgresServer, depot: Depot, scratch: ScratchServer
) -> None:
    execute(everything, 'ALTER SCHEMA app OWNER TO "App Owner"')
    made = prepare(everything, **PASSWORDS)
    again = prepare(everything, **PASSWORDS)
    assert again.created == ()
    assert any("superuser postgres" in note for note in made.notes)
    execute(everything, "CREATE PUBLICATION whole FOR ALL TABLES")
    assert any("publication whole is for all tables" in note for note in prepare(everything, **PASSWORDS).notes)
    execute(everything, "DROP PUBLICATION whole")
    reader, _ = roles(everything)
    with everything.connect() as connection:  # owned by the superuser: out of reach of the function, said in the notes
        for (oid,) in connection.execute("SELECT oid FROM pg_largeobject_metadata").fetchall():
            connection.execute(f'ALTER LARGE OBJECT {oid} OWNER TO "App Owner"'.encode())
    assert beat(reader).beat == 1
    assert beat(reader).beat == 2
    backup = depot.back_up(reader)
    beat(reader)  # whatever is written later: the dump and the fingerprint share one snapshot
    assert backup.manifest.fingerprint is not None
    assert backup.manifest.fingerprint.tables["lifeboat.heartbeat"].rows == 1
    declared = {entry.what for entry in backup.manifest.left_out}
    assert "subscription from_elsewhere" in declared
    assert "passwords of roles" not in declared
    assert "options of user mapping of app_login for server elsewhere" in declared
    depot.restore(backup, scratch.server(), "by_reader")
    verdict = compared(backup, scratch.server("by_reader"))
    assert [d.message for d in verdict.differences if "subscription" not in d.message] == []
    newest = read_heartbeat(scratch.server("by_reader"))
    assert newest is not None
    assert newest.beat == 2
    with reader.connect() as connection:
        for statement in ("CREATE TABLE public.x (a int)", "DELETE FROM app.orders", "CREATE ROLE x",
                          "CREATE DATABASE x", "SELECT lo_unlink((SELECT min(oid) FROM pg_largeobject_metadata))"):
            with pytest.raises(Exception, match="permission denied|must be owner"):
                connection.execute(statement.encode())


def test_an_ordinary_database_is_restored_and_swapped_in_without_a_superuser(
    fresh_database: PostgresServer, depot: Depot
) -> None:
    from include.recovery.postgres.swap import swap_database
    from include.recovery.postgres.swap_table import replace_tables

    name = fresh_database.database
    owner = f"owner_{name}"
    execute(fresh_database, f"CREATE ROLE {owner} LOGIN PASSWORD 'o'", f"ALTER DATABASE {name} OWNER TO {owner}",
            f"SET ROLE {owner}", "CREATE SCHEMA shop", "CREATE TABLE shop.items (id serial PRIMARY KEY, name text)",
            "INSERT INTO shop.items (name) SELECT g FROM generate_series(1, 50) g", "SELECT lo_from_bytea(0, 'x')")
    prepare(fresh_database, **PASSWORDS)
    reader, writer = roles(fresh_database)
    beat(reader)
    backup = depot.back_up(reader)
    copy = f"{name}_restored"
    try:
        report = depot.restore(backup, writer, copy)
        assert "privileges on pg_catalog.FUNCTION pg_create_restore_point(text)" in report.left_out
        verdict = compared(backup, fresh_database.with_database(copy))
        assert verdict.identical, verdict.differences
        execute(fresh_database, "DELETE FROM shop.items")
        swapped = replace_tables(
            writer, writer.with_database(copy), ["shop.items"], keep_schema="kept",
            expected=backup.manifest.fingerprint,
        )
        assert swapped.tables[0].after == 50
        swap_database(writer, live=name, restored=copy, keep_as=f"{name}_before")
        assert compared(backup, fresh_database).identical
    finally:
        with fresh_database.with_database("postgres").connect() as connection:
            for database in (copy, f"{name}_before", name):
                connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
            connection.execute(f"DROP ROLE {owner}".encode())
