"""What is known about a database before it may be overwritten. Read as the role that would overwrite it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import psycopg

from include.recovery.errors import SourceUnavailable
from include.recovery.postgres.names import parse_qualified
from include.recovery.postgres.restore import EMPTY
from include.recovery.postgres.server import MAINTENANCE_DATABASE, PostgresServer, sql
from include.recovery.runbook.target import Session, TargetFacts

_SERVER = """
    SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), pg_catalog.pg_is_in_recovery(),
           session_user::text, EXISTS (SELECT 1 FROM pg_catalog.pg_database WHERE datname = %(database)s),
           (SELECT datallowconn FROM pg_catalog.pg_database WHERE datname = %(database)s)
"""
_DATABASE = """
    SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),
           (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
               AND n.nspname NOT IN ('information_schema', 'lifeboat'))
"""
_WRITES = """
    SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_user_tables
     WHERE schemaname <> 'lifeboat'  -- the heartbeat is no write of the application
       AND (%(tables)s::oid[] IS NULL OR relid = ANY (%(tables)s::oid[]))
"""
_SESSIONS = """
    SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
           coalesce(a.client_addr::text, 'socket'), coalesce(a.state, '')
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = %(database)s AND a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
       AND (%(tables)s::oid[] IS NULL OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.relation = ANY (%(tables)s::oid[])))
     ORDER BY a.pid
"""
_LAST_COMMIT = "SELECT timestamp FROM pg_catalog.pg_last_committed_xact()"


def target_facts(server: PostgresServer, *, tables: Collection[str] = (), now: datetime) -> TargetFacts:
    """What a database is, and who uses it.

    :param tables: qualified names; writes and sessions are then about these tables (and their partitions) only.
    :raises SourceUnavailable: when the server cannot be reached.
    """
    try:
        with server.with_database(MAINTENANCE_DATABASE).connect() as connection:
            row = connection.execute(_SERVER, {"database": server.database}).fetchone()
            assert row is not None
            identifier, standby, role, exists, open_to_all = row
            last_write = _last_commit(connection)
            sessions = _sessions(connection, server.database, None) if exists else ()
        base = TargetFacts(
            host=server.host, port=server.port, system_identifier=identifier, database=server.database,
            exists=exists, empty=not exists, server_role="standby" if standby else "primary", login_role=role,
            scope=tuple(tables), last_write=last_write, sessions=sessions, taken_at=now,
        )
        if not exists or not open_to_all:
            return base
        with server.connect() as connection:
            return base.model_copy(update=_inside(connection, server, tables))
    except psycopg.OperationalError as error:
        raise SourceUnavailable(f"{server.redacted}: the server went away: {error}; try again when it runs") from error


def _inside(
    connection: psycopg.Connection[Any], server: PostgresServer, tables: Collection[str]
) -> dict[str, Any]:
    size = connection.execute(sql(_DATABASE)).fetchone()
    empty = connection.execute(sql(EMPTY)).fetchone()
    oids = _oids(connection, tables) if tables else None
    writes = connection.execute(_WRITES, {"tables": oids}).fetchone()
    assert size is not None
    assert empty is not None
    assert writes is not None
    return {"size": size[0], "tables": size[1], "empty": empty[0], "writes": writes[0],
            "sessions": _sessions(connection, server.database, oids)}


def _sessions(
    connection: psycopg.Connection[Any], database: str, tables: list[int] | None
) -> tuple[Session, ...]:
    rows = connection.execute(_SESSIONS, {"database": database, "tables": tables})
    return tuple(
        Session(pid=pid, user=user, application=application, client=client, state=state)
        for pid, user, application, client, state in rows
    )


def _oids(connection: psycopg.Connection[Any], tables: Collection[str]) -> list[int]:
    """The tables and their partitions, as far as they exist."""
    oids: list[int] = []
    for name in tables:
        schema, relation = parse_qualified(name)
        oids += [row[0] for row in connection.execute(
            "SELECT t.relid::oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,"
            " LATERAL (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) UNION SELECT c.oid) t"
            " WHERE n.nspname = %s AND c.relname = %s", (schema, relation))]
    return oids


def _last_commit(connection: psycopg.Connection[Any]) -> datetime | None:
    """When the server last committed, if it records that."""
    row = connection.execute("SELECT pg_catalog.current_setting('track_commit_timestamp') = 'on'").fetchone()
    if not row or not row[0]:
        return None
    last = connection.execute(_LAST_COMMIT).fetchone()
    return last[0] if last else None
