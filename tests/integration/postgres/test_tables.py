"""Single tables: out of a backup beside the live ones, and back into them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from include.recovery.errors import BackupNotFound, NotIdentical, Refused
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure_like
from include.recovery.fingerprint.model import Comparison
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.swap_table import replace_tables
from include.recovery.postgres.tables import TablesReport, restore_tables
from tests.integration.postgres.conftest import Depot, compared, drop_subscription

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def run(server: PostgresServer, statement: str) -> list[tuple[Any, ...]]:
    with server.connect() as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def beside(depot: Depot, server: PostgresServer, tables: list[str], schema: str = "restored") -> TablesReport:
    backup = depot.catalog.newest("shop", "main-db", "postgres")
    return restore_tables(
        backup.manifest, depot.store, depot.key(backup.manifest), server, tables=tables, schema=schema
    )


def live_differences(verdict: Comparison) -> list[str]:
    """What differs outside the schemas that the test itself has made."""
    return [d.message for d in verdict.differences if not ("restored" in d.message or "before_it" in d.message)]


def test_tables_come_back_beside_the_live_ones_which_do_not_notice(everything: PostgresServer, depot: Depot) -> None:
    backup = depot.back_up(everything)
    names = ["app.users", "app.orders", "app.events", '"Odd Schema"."odd name"', "app.grandchild",
             '"Odd Schema"."two\nlines"', "app.shares_sequence", "app.no_columns"]
    report = beside(depot, everything, names)
    assert live_differences(compared(backup, everything)) == []
    expected = backup.manifest.fingerprint
    assert expected is not None
    copies = {table.original: table.copy for table in report.tables if table.original in expected.tables}
    assert set(copies) >= {"app.users", '"Odd Schema"."events 2026 a"', "app.events_2025", "app.grandchild"}
    measured = measure_like(expected, everything.connect, tables=list(copies.values()))
    result = compare(expected, measured, tables=list(copies), renamed=copies)
    assert result.identical, result.differences
    assert run(everything, "SELECT count(*) FROM restored.events") == [(550,)]
    assert run(everything, "SELECT count(*) FROM app.parent") == [(3,)]
    assert run(everything, "SELECT nextval('restored.users_id_seq')") == [(502,)]
    assert run(everything, "SELECT nextval('restored.orders_id_seq')") == [(1001,)]
    assert run(everything, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'restored'")[0][0] >= 8
    assert any(name.startswith("fk constraint") for name in report.left_out)
    run(everything, "INSERT INTO restored.users (email) VALUES ('new@x.org')")
    assert run(everything, "SELECT last_value FROM app.users_id_seq") == [(501,)]


@pytest.mark.demand("R9")
def test_one_table_fetches_its_own_part_only(fresh_database: PostgresServer, depot: Depot) -> None:
    run(fresh_database, "CREATE TABLE public.small AS SELECT g AS id, md5(g::text) AS a"
                        " FROM generate_series(1, 20000) g")
    run(fresh_database, "CREATE TABLE public.large AS SELECT g AS id, md5(g::text) || md5((g * 7)::text) AS a"
                        " FROM generate_series(1, 600000) g")
    backup = depot.back_up(fresh_database, zstd_level=1)
    part = next(part for part in backup.manifest.parts if part.tables == ("public.small",))
    stored = sum(volume.size for volume in part.volumes)
    report = beside(depot, fresh_database, ["public.small"])
    assert report.tables[0].rows == 20000
    assert report.fetched <= 1.1 * stored
    assert report.fetched < 0.05 * backup.manifest.stored_size


def test_what_cannot_be_restored_beside_is_refused_and_leaves_nothing(everything: PostgresServer, depot: Depot) -> None:
    depot.back_up(everything)
    with pytest.raises(BackupNotFound, match=r"holds no table app\.ursers; it holds "):
        beside(depot, everything, ["app.ursers"])
    with pytest.raises(Refused, match="same name users"):
        beside(depot, everything, ["app.users", '"Odd Schema".users'])
    with pytest.raises(Refused, match="schema app exists already"):
        beside(depot, everything, ["app.users"], schema="app")
    assert run(everything, "SELECT count(*) FROM pg_namespace WHERE nspname = 'restored'") == [(0,)]


def test_some_tables_in_a_database_of_their_own_have_all_definitions(
    everything: PostgresServer, depot: Depot, scratch: ScratchServer
) -> None:
    backup = depot.back_up(everything)
    report = depot.restore(backup, scratch.server(), "some_tables", tables=["app.orders", "app.events"])
    copy = scratch.server("some_tables")
    assert run(copy, "SELECT count(*) FROM app.orders") == [(1000,)]
    assert run(copy, "SELECT count(*) FROM app.events") == [(550,)]
    assert run(copy, "SELECT count(*) FROM app.users") == [(0,)]
    assert any("orders_user_id_fkey" in name for name in report.left_out)
    leaves = ["app.orders", "app.events_2025", "app.events_2026_rest", '"Odd Schema"."events 2026 a"']
    assert compared(backup, copy, leaves).identical


def damaged(server: PostgresServer) -> None:
    """What an operator's slip does, in all tables of the test."""
    run(server, "UPDATE app.events SET kind = 'zz' WHERE id % 2 = 0")
    run(server, "UPDATE app.users SET email = 'overwritten' || id::text")
    run(server, "DELETE FROM app.orders WHERE id > 500")


@pytest.mark.parametrize("staged_in", ["schema", "database"])
def test_a_tables_rows_are_replaced_in_place(
    everything: PostgresServer, depot: Depot, postgres_server: PostgresServer, staged_in: str
) -> None:
    backup = depot.back_up(everything)
    tables = ["app.users", "app.orders", "app.events"]
    oid = run(everything, "SELECT 'app.users'::regclass::oid")
    damaged(everything)
    staging = everything.with_database(f"{everything.database}_restored_x")
    try:
        if staged_in == "schema":
            beside(depot, everything, tables)
            source, schema = everything, "restored"
        else:
            depot.restore(backup, postgres_server, staging.database, tables=tables)
            source, schema = staging, None
        kept: dict[str, Any] = {"keep_schema": "before_it", "restored_schema": schema}
        swap = replace_tables(everything, source, tables, expected=backup.manifest.fingerprint, **kept)
        assert not swap.repeated
        assert {table.table: (table.before, table.after) for table in swap.tables} == {
            "app.users": (501, 501), "app.orders": (500, 1000), "app.events": (550, 550),
        }
        assert any("orders_user_id_fkey" in name for name in swap.foreign_keys)
        assert live_differences(compared(backup, everything)) == []
        assert run(everything, "SELECT 'app.users'::regclass::oid") == oid
        kept_rows = run(everything, 'SELECT count(*) FROM before_it."app.users" WHERE email LIKE \'overwritten%\'')
        assert kept_rows == [(501,)]
        again = replace_tables(everything, source, tables, expected=backup.manifest.fingerprint, **kept)
        assert again.repeated
        run(everything, "INSERT INTO app.users (email) VALUES ('next@x.org')")
    finally:
        if staged_in == "database":
            drop_subscription(staging)
            run(postgres_server, f'DROP DATABASE IF EXISTS "{staging.database}" WITH (FORCE)')


def test_rows_that_others_refer_to_are_not_taken_away(everything: PostgresServer, depot: Depot) -> None:
    depot.back_up(everything)
    run(everything, "INSERT INTO app.users (email) VALUES ('later@x.org')")
    run(everything, "INSERT INTO app.orders (user_id) SELECT max(id) FROM app.users")
    beside(depot, everything, ["app.users"])
    with pytest.raises(Refused, match=r"1 rows of app\.orders would refer to nothing in app\.users"):
        replace_tables(everything, everything, ["app.users"], keep_schema="kept", restored_schema="restored")
    assert run(everything, "SELECT count(*) FROM app.users") == [(502,)]
    assert run(everything, "SELECT count(*) FROM pg_namespace WHERE nspname = 'kept'") == [(0,)]


def test_a_touched_copy_does_not_get_into_the_live_table(everything: PostgresServer, depot: Depot) -> None:
    backup = depot.back_up(everything)
    beside(depot, everything, ["app.orders"])
    run(everything, "UPDATE restored.orders SET note = 'slipped in' WHERE id = 7")
    with pytest.raises(NotIdentical, match=r"app\.orders has 1000 rows and the backup 1000, of other content"):
        replace_tables(
            everything, everything, ["app.orders"], keep_schema="kept", restored_schema="restored",
            expected=backup.manifest.fingerprint,
        )
    assert run(everything, "SELECT count(*) FROM app.orders WHERE note = 'slipped in'") == [(0,)]


def test_a_table_of_another_shape_is_refused(everything: PostgresServer, depot: Depot) -> None:
    depot.back_up(everything)
    beside(depot, everything, ["app.orders"])
    run(everything, "ALTER TABLE app.orders ALTER state TYPE varchar(50), ADD must text NOT NULL DEFAULT 'x'")
    run(everything, "ALTER TABLE app.orders ALTER must DROP DEFAULT")
    with pytest.raises(Refused, match=r"column state is character varying\(50\) now and was text; column must is new"):
        replace_tables(everything, everything, ["app.orders"], keep_schema="kept", restored_schema="restored")


def test_a_locked_table_is_not_waited_for_forever(everything: PostgresServer, depot: Depot) -> None:
    depot.back_up(everything)
    beside(depot, everything, ["app.orders"])
    with everything.connect(autocommit=False) as other:
        other.execute("SELECT * FROM app.orders LIMIT 1")
        with pytest.raises(Exception, match="somebody holds or waits for a lock"):
            replace_tables(
                everything, everything, ["app.orders"], keep_schema="kept", restored_schema="restored", lock_wait=1
            )
        assert isinstance(other, psycopg.Connection)
