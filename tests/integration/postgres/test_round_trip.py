"""A database with everything is backed up and restored, and nothing at all is different."""

from __future__ import annotations

import psycopg
import pytest

from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from tests.integration.postgres.conftest import Depot, compared

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.demand("L24")
def test_everything_comes_back_identical(everything: PostgresServer, depot: Depot, scratch: ScratchServer) -> None:
    backup = depot.back_up(everything)
    report = depot.restore(backup, scratch.server(), "everything_copy")
    copy = scratch.server("everything_copy")
    verdict = compared(backup, copy)
    assert [difference.message for difference in verdict.differences] == []
    assert verdict.identical
    assert verdict.compared_rows > 2000
    assert report.roles is not None
    assert {"app_login", "App Owner", "odd; role"} <= {*report.roles.created, *report.roles.kept}
    with copy.connect() as connection:
        assert connection.execute("SELECT count(*) FROM app.counts").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (3,)
        assert connection.execute(  # the catalog is the whole server's: neighbours have theirs
            "SELECT subenabled FROM pg_subscription JOIN pg_database d ON d.oid = subdbid"
            " WHERE datname = current_database()"
        ).fetchall() == [(False,)]
        assert connection.execute("SHOW work_mem").fetchone() == ("9MB",)
        assert connection.execute(
            "SELECT shobj_description(oid, 'pg_database'), datconnlimit FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone() == ("it's everything", -1)
        analysed = connection.execute("SELECT reltuples FROM pg_class WHERE oid = 'app.users'::regclass").fetchone()
        assert analysed == (501,)


def test_roles_of_other_databases_on_the_server_are_no_difference(
    everything: PostgresServer, depot: Depot, scratch: ScratchServer, postgres_server: PostgresServer
) -> None:
    with postgres_server.connect() as connection:
        connection.execute("CREATE ROLE neighbour LOGIN")
    try:
        backup = depot.back_up(everything)
    finally:
        with postgres_server.connect() as connection:
            connection.execute("DROP ROLE neighbour")
    depot.restore(backup, scratch.server(), "without_neighbours")
    verdict = compared(backup, scratch.server("without_neighbours"))
    assert [difference.message for difference in verdict.differences] == []
    assert "role app_login" in backup.manifest.fingerprint.items
    assert "role neighbour" not in backup.manifest.fingerprint.items


def test_the_application_logs_in_to_the_restored_copy(
    everything: PostgresServer, depot: Depot, postgres_server: PostgresServer
) -> None:
    backup = depot.back_up(everything)
    with postgres_server.connect() as connection:  # as on a new host: nobody knows the role
        connection.execute("ALTER ROLE app_login RENAME TO app_login_of_the_source")
    name = f"{everything.database}_copy"
    try:
        report = depot.restore(backup, postgres_server, name)
        assert report.roles is not None
        assert report.roles.created == ("app_login",)
        with PostgresServer(
            host=postgres_server.host, port=postgres_server.port, user="app_login", password="the application's own",
            database=name,
        ).connect() as connection:
            assert connection.execute("SELECT count(*) FROM app.users").fetchone() == (501,)
            assert connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'app_login'").fetchone() == (
                40,
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DROP TABLE app.users")
    finally:
        with postgres_server.connect() as connection:
            with postgres_server.with_database(name).connect() as copy:
                copy.execute("ALTER SUBSCRIPTION from_elsewhere SET (slot_name = NONE)")
                copy.execute("DROP SUBSCRIPTION from_elsewhere")
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
            connection.execute("DROP ROLE IF EXISTS app_login")
            connection.execute("ALTER ROLE app_login_of_the_source RENAME TO app_login")
