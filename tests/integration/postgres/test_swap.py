"""A restored database takes the live one's place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from include.recovery.errors import Refused, SourceError
from include.recovery.postgres.facts import target_facts
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.swap import isolate, release, swap_database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def run(server: PostgresServer, statement: str) -> list[tuple[Any, ...]]:
    with server.connect() as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def pair(postgres_server: PostgresServer, fresh_database: PostgresServer) -> Iterator[tuple[str, str, str]]:
    """A live database, a restored one, and the name to keep the live one under."""
    live = fresh_database.database
    restored, kept = f"{live}_Restored x", f"{live}_kept"
    run(fresh_database, "CREATE TABLE public.t AS SELECT 'live' AS which")
    run(postgres_server, f'CREATE DATABASE "{restored}"')
    run(postgres_server.with_database(restored), "CREATE TABLE public.t AS SELECT 'restored' AS which")
    yield live, restored, kept
    for name in (live, restored, kept):
        run(postgres_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def which(server: PostgresServer, database: str) -> str:
    return str(run(server.with_database(database), "SELECT which FROM public.t")[0][0])


def test_a_swap_keeps_the_live_database_and_carries_its_properties_over(
    postgres_server: PostgresServer, pair: tuple[str, str, str]
) -> None:
    live, restored, kept = pair
    run(postgres_server, "DROP ROLE IF EXISTS swap_app")
    run(postgres_server, "CREATE ROLE swap_app")
    for statement in (
        f'ALTER DATABASE "{live}" SET search_path = a, "B c"', f"ALTER DATABASE \"{live}\" SET work_mem = '7MB'",
        f'ALTER ROLE swap_app IN DATABASE "{live}" SET statement_timeout = 5',
        f'ALTER DATABASE "{live}" OWNER TO swap_app',
        f"COMMENT ON DATABASE \"{live}\" IS 'it''s live'", f'REVOKE ALL ON DATABASE "{live}" FROM PUBLIC',
        f'GRANT CONNECT ON DATABASE "{live}" TO swap_app', f'ALTER DATABASE "{live}" CONNECTION LIMIT 33',
        f'ALTER DATABASE "{restored}" SET work_mem = \'1MB\'',
    ):
        run(postgres_server, statement)
    about = ("SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'), datallowconn,"
             " (SELECT array_agg(x::text ORDER BY 1) FROM aclexplode(datacl) x),"
             " (SELECT array_agg(setrole::text || setconfig::text ORDER BY setrole) FROM pg_db_role_setting"
             f" WHERE setdatabase = d.oid) FROM pg_database d WHERE datname = '{live}'")
    before = run(postgres_server, about)
    with postgres_server.with_database(live).connect() as bystander:
        swap = swap_database(postgres_server, live=live, restored=restored, keep_as=kept)
        with pytest.raises(psycopg.OperationalError):
            bystander.execute("SELECT 1")
    assert not swap.repeated
    assert run(postgres_server, about) == before
    assert which(postgres_server, live) == "restored"
    with pytest.raises(SourceError, match="not currently accepting connections"):
        which(postgres_server, kept)
    assert swap_database(postgres_server, live=live, restored=restored, keep_as=kept).repeated
    undone = swap_database(postgres_server, live=live, restored=kept, keep_as=restored)
    assert not undone.repeated
    assert which(postgres_server, live) == "live"
    run(postgres_server, f'ALTER DATABASE "{live}" OWNER TO postgres')
    run(postgres_server.with_database(live), "DROP OWNED BY swap_app")
    for name in (live, restored):
        run(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')
    run(postgres_server, "DROP ROLE swap_app")


def test_names_that_do_not_fit_are_refused_and_nothing_is_touched(
    postgres_server: PostgresServer, pair: tuple[str, str, str]
) -> None:
    live, restored, kept = pair
    with pytest.raises(Refused, match="no database nowhere"):
        swap_database(postgres_server, live=live, restored="nowhere", keep_as=kept)
    with pytest.raises(Refused, match="a database postgres exists already"):
        swap_database(postgres_server, live=live, restored=restored, keep_as="postgres")
    assert which(postgres_server, live) == "live"


def test_a_live_database_that_is_gone_is_simply_replaced(
    postgres_server: PostgresServer, pair: tuple[str, str, str]
) -> None:
    live, restored, kept = pair
    run(postgres_server, f'DROP DATABASE "{live}" WITH (FORCE)')
    assert swap_database(postgres_server, live=live, restored=restored, keep_as=kept).kept_as is None
    assert which(postgres_server, live) == "restored"


def test_an_isolated_database_is_empty_of_people_until_it_is_released(
    postgres_server: PostgresServer, pair: tuple[str, str, str]
) -> None:
    live, _, _ = pair
    server = postgres_server.with_database(live)
    with server.connect():
        found = target_facts(server, now=NOW)
        assert [session.user for session in found.sessions] == ["postgres"]
        assert found.occupied
        assert found.tables == 1
        isolate(server)
    assert target_facts(server, now=NOW).sessions == ()
    isolate(server)
    with pytest.raises(SourceError):
        server.connect()
    release(server)
    assert which(postgres_server, live) == "live"


def test_facts_tell_what_would_be_overwritten(postgres_server: PostgresServer, fresh_database: PostgresServer) -> None:
    empty = target_facts(fresh_database, now=NOW)
    assert empty.exists
    assert empty.empty
    run(fresh_database, "CREATE TABLE public.a AS SELECT generate_series(1, 3) AS x")
    run(fresh_database, "CREATE TABLE public.b (x int)")
    with fresh_database.connect(autocommit=False) as other:
        other.execute("LOCK TABLE public.b IN ACCESS SHARE MODE")
        run(fresh_database, "SELECT pg_stat_force_next_flush()")
        found = target_facts(fresh_database, tables=["public.a"], now=NOW)
        assert found.sessions == ()
        assert found.writes == 3
        assert len(target_facts(fresh_database, tables=["public.b"], now=NOW).sessions) == 1
    assert not found.empty
    assert found.system_identifier == empty.system_identifier != ""
    missing = target_facts(postgres_server.with_database("not there"), now=NOW)
    assert not missing.exists
    assert missing.empty
