"""The coordinator of a backup: it locks the tables, then exports the snapshot that all dumps and queries share.

The order matters. A snapshot does not protect from TRUNCATE or from an ALTER TABLE that rewrites: to an older snapshot
such a table looks empty. ``LOCK TABLE`` takes no snapshot, so the coordinator locks first (ACCESS SHARE, which only
conflicts with such commands) and takes its snapshot after that, then checks that it sees just the tables it locked.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from include.recovery.errors import SourceError, SourceUnavailable
from include.recovery.fingerprint.model import SequenceFingerprint
from include.recovery.fingerprint.sequences import read_sequences
from include.recovery.postgres.grouping import SizedTable
from include.recovery.postgres.names import quote
from include.recovery.postgres.preflight import NAME, NOT_OF_EXTENSION, USER_SCHEMA
from include.recovery.postgres.server import PostgresServer, is_alive, sql

ATTEMPTS = 5
_LOCKS_AT_ONCE = 500
_TABLES = f"""
    SELECT c.oid, n.nspname, c.relname, {NAME}, c.relkind = 'r',
           CASE c.relkind WHEN 'r' THEN pg_catalog.pg_table_size(c.oid) ELSE 0 END, {NOT_OF_EXTENSION}
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {USER_SCHEMA} ORDER BY c.oid
"""  # noqa: S608 - constants
_NAMES = f"""
    SELECT c.oid, n.nspname, c.relname, {NAME}
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {USER_SCHEMA} AND {NOT_OF_EXTENSION}
     ORDER BY c.oid
"""  # noqa: S608
_WHERE_AND_WHEN = """
    SELECT pg_catalog.clock_timestamp(),
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_insert_lsn() END::text,
           pg_catalog.current_setting('server_version'), pg_catalog.pg_database_size(pg_catalog.current_database())
"""


@dataclass(frozen=True)
class Snapshot:
    """A moment of a database, held open.

    :param id: what ``pg_dump --snapshot`` and ``SET TRANSACTION SNAPSHOT`` take.
    :param lsn: the WAL position just after it was taken.
    :param tables: every table that can hold rows, is not left out and is not part of an extension.
    :param sequences: positions read *before* any dump reads them, so that a restored one is never behind.
    :param size: bytes of the whole database.
    """

    id: str
    taken_at: datetime
    lsn: str | None
    server_version: str
    tables: tuple[SizedTable, ...]
    sequences: dict[str, SequenceFingerprint]
    size: int
    _connection: psycopg.Connection[Any]

    def check(self) -> None:
        """The coordinator's session still holds the snapshot.

        :raises SourceUnavailable: when it is gone.
        """
        if not is_alive(self._connection):
            raise SourceUnavailable(
                "the session that held the backup's snapshot has ended; was the server restarted? take the backup again"
            )


@contextlib.contextmanager
def exported_snapshot(
    server: PostgresServer,
    *,
    without: Collection[str] = (),
    lock_wait: int = 10,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Snapshot]:
    """Hold a consistent snapshot of a database, its tables safe from being dropped, rewritten or truncated.

    :param without: qualified names of tables whose rows are left out.
    :param lock_wait: seconds to wait for a table that somebody has locked, before trying again from the start.
    :param pause: sleeps between attempts.
    :raises SourceUnavailable: when tables stay locked or keep changing, or the server goes away.
    """
    connection = server.connect(autocommit=False, settings={"lock_timeout": f"{lock_wait * 1000}"})
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield _taken(server, connection, frozenset(without), pause)
    finally:
        with contextlib.suppress(psycopg.Error):
            connection.close()


def _taken(
    server: PostgresServer,
    connection: psycopg.Connection[Any],
    without: frozenset[str],
    pause: Callable[[float], None],
) -> Snapshot:
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(min(2.0**attempt, 15.0))
        try:
            snapshot = _attempt(server, connection, without)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SourceError(f"{server.redacted}: {error}; run `lifeboat prepare` for this database") from error
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName,
                psycopg.errors.DeadlockDetected) as error:
            reason = str(error).splitlines()[0]
            connection.rollback()
            continue
        except psycopg.OperationalError as error:
            raise SourceUnavailable(f"{server.redacted}: the server went away: {error}; try again") from error
        if snapshot is not None:
            return snapshot
        reason = "tables were made or dropped at the same time"
        connection.rollback()
    raise SourceUnavailable(
        f"{server.redacted}: no consistent snapshot in {ATTEMPTS} attempts ({reason}); take the backup when the schema "
        f"is at rest"
    )


def _attempt(
    server: PostgresServer, connection: psycopg.Connection[Any], without: frozenset[str]
) -> Snapshot | None:
    """One try; None when the tables changed between listing and locking."""
    with server.connect() as other:
        listed = [row for row in other.execute(sql(_NAMES)) if row[3] not in without]
    for start in range(0, len(listed), _LOCKS_AT_ONCE):
        batch = listed[start : start + _LOCKS_AT_ONCE]
        names = ", ".join(f"ONLY {quote(schema)}.{quote(name)}" for _, schema, name, _ in batch)
        connection.execute(sql(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))
    exported = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    at = connection.execute(sql(_WHERE_AND_WHEN)).fetchone()
    assert exported is not None
    assert at is not None
    rows = [row for row in connection.execute(sql(_TABLES)) if row[3] not in without]
    if [row[:4] for row in rows if row[6]] != listed:
        return None
    tables = tuple(
        SizedTable(schema, name, qualified, size) for _, schema, name, qualified, holds, size, ours in rows
        if holds and ours
    )
    taken_at, lsn, version, size = at
    return Snapshot(
        id=exported[0], taken_at=taken_at, lsn=lsn, server_version=version, tables=tables,
        sequences=read_sequences(connection), size=size, _connection=connection,
    )
