"""A running database is copied to another server, and nothing at all is different."""

from __future__ import annotations

import threading

import pytest

from include.recovery.errors import LifeboatError, Refused
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure, measure_like
from include.recovery.postgres.copy_database import copy_database
from include.recovery.postgres.restore import RestoreOptions
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def differences(one: PostgresServer, two: PostgresServer) -> list[str]:
    expected = measure(one.connect)
    return [each.message for each in compare(expected, measure_like(expected, two.connect)).differences]


@pytest.mark.demand("L15")
def test_everything_is_copied_and_a_changed_row_is_found(everything: PostgresServer, scratch: ScratchServer) -> None:
    copy = scratch.server("copied")
    report = copy_database(everything, copy, options=RestoreOptions(streams=2))
    assert report.fetched == 0
    assert report.roles is not None
    assert {"app_login", "App Owner", "odd; role"} <= {*report.roles.created, *report.roles.kept}
    assert [each for each in differences(everything, copy) if not each.startswith("role ")] == []
    with copy.connect() as connection:
        assert connection.execute("SELECT count(*) FROM app.users").fetchone() == (501,)
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM app.users WHERE ctid = (SELECT min(ctid) FROM app.users)")
    assert any("app.users" in each for each in differences(everything, copy))

    with pytest.raises(Refused, match="exists and is not empty"):
        copy_database(everything, copy)


def test_a_copy_that_is_stopped_leaves_nothing(fresh_database: PostgresServer, scratch: ScratchServer) -> None:
    with fresh_database.connect() as connection:
        connection.execute("CREATE TABLE public.much AS SELECT n, md5(n::text) FROM generate_series(1, 300000) n")
    stop = threading.Event()

    class Progress:
        def add(self, part: str, stored: int, content: int) -> None:
            if part.startswith(("table", "rest")):
                stop.set()

    with pytest.raises(LifeboatError):
        copy_database(fresh_database, scratch.server("stopped"), progress=Progress(), stop=stop)
    with scratch.server().connect() as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'stopped'").fetchone() is None
