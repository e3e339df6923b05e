"""The globals part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest

from include.recovery.errors import SourceUnavailable
from include.recovery.postgres.roles import apply_roles, for_database, only_roles
from include.recovery.postgres.server import PostgresServer

SCRIPT = r"""
\restrict abc
SET default_transaction_read_only = off;
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:salt$stored:server';
CREATE ROLE "Neighbour; evil";
ALTER ROLE "Neighbour; evil" WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:other$stored:server';
CREATE ROLE readers;
ALTER ROLE app SET search_path TO 'a', 'b';
COMMENT ON ROLE app IS 'the; application';
GRANT readers TO app WITH INHERIT TRUE GRANTED BY postgres;
GRANT readers TO "Neighbour; evil" GRANTED BY postgres;
GRANT pg_read_all_data TO app GRANTED BY postgres;
GRANT SET ON PARAMETER log_statement TO app;
CREATE TABLESPACE fast OWNER app LOCATION '/fast';
GRANT ALL ON TABLESPACE fast TO app;
"""


def test_a_backup_does_not_carry_the_neighbours_hashes() -> None:
    kept = only_roles(SCRIPT, {"app", "readers"})
    assert "Neighbour" not in kept
    assert "other" not in kept
    assert "SCRAM-SHA-256$4096:salt$stored:server" in kept
    assert "TABLESPACE" not in kept
    assert "default_transaction" not in kept
    for part in ("CREATE ROLE app;", "COMMENT ON ROLE app IS 'the; application';", "GRANT readers TO app",
                 "GRANT pg_read_all_data TO app", "ON PARAMETER log_statement"):
        assert part in kept


def test_statements_about_a_database_can_be_about_another_one() -> None:
    script = """
        CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C' TABLESPACE = fast;
        ALTER DATABASE shop SET search_path TO 'shop', 'public';
        ALTER ROLE shop IN DATABASE shop SET work_mem TO '1MB';
        GRANT CONNECT ON DATABASE shop TO shop;
        COMMENT ON DATABASE shop IS 'DATABASE shop';
    """
    assert for_database(script, 'Shop "2"') == [
        "CREATE DATABASE \"Shop \"\"2\"\"\" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C'",
        "ALTER DATABASE \"Shop \"\"2\"\"\" SET search_path TO 'shop', 'public'",
        "ALTER ROLE shop IN DATABASE \"Shop \"\"2\"\"\" SET work_mem TO '1MB'",
        'GRANT CONNECT ON DATABASE "Shop ""2""" TO shop',
        "COMMENT ON DATABASE \"Shop \"\"2\"\"\" IS 'DATABASE shop'",
    ]


@pytest.mark.parametrize("gone_at", ["SELECT rolname", "CREATE ROLE"])
def test_a_server_that_goes_away_is_not_taken_for_one_that_refuses_a_role(
    monkeypatch: pytest.MonkeyPatch, gone_at: str
) -> None:
    def execute(statement: object) -> object:
        if gone_at in str(statement):
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return SimpleNamespace(fetchone=lambda: (True,), __iter__=None) if "rolsuper" in str(statement) else []

    @contextmanager
    def connect(_self: PostgresServer) -> Iterator[object]:
        yield SimpleNamespace(execute=execute)

    monkeypatch.setattr(PostgresServer, "connect", connect)
    with pytest.raises(SourceUnavailable, match="restoring roles failed: the server went away"):
        apply_roles(PostgresServer("db.example", 5432, "postgres"), "CREATE ROLE captain;\n")
