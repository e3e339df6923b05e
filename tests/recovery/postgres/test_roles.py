"""The globals part."""

from __future__ import annotations

from include.recovery.postgres.roles import for_database, only_roles

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
