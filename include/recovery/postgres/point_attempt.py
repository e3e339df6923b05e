"""One attempt at a recovery point: two sessions, the locks, and the snapshot of the very moment that the log names.

    keeper ── ACCESS SHARE on all tables ───────────── imports the snapshot ── exports it again ────────── ends
    maker ──────── SHARE on all tables ── restore point + snapshot ──┘ commits: writers go on
    fingerprint                                                                      └── reads in the keeper's snapshot

While the maker holds its locks, nothing changes in the tables, so the snapshot and the restore point are one moment
although the server takes them one after the other. The keeper locks first and weakly: no TRUNCATE and no ALTER TABLE,
which respect no snapshot, can come between the maker's end and the fingerprint's own locks.

The maker's transaction is READ COMMITTED. A plain LOCK takes no snapshot, but the call of a function does, so under
REPEATABLE READ the snapshot would be older than the locks. Only the keeper and the fingerprint need REPEATABLE READ.

What no lock can hold off is a transaction that makes a table and commits within the microseconds between snapshot and
restore point, its commit not yet over when we look. The copy then has a table that the point does not know, and the
comparison says so; it never calls a copy identical that is not.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from include.recovery.errors import LifeboatError, SourceError
from include.recovery.fingerprint.model import SequenceFingerprint
from include.recovery.fingerprint.sequences import read_sequences
from include.recovery.postgres.functions import USER_TABLES
from include.recovery.postgres.server import PostgresServer, sql

IN_FLIGHT = """
    SELECT l.transactionid::text FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock'
       AND (a.pid IS NULL OR a.datname = pg_catalog.current_database())
"""
"""Transactions of the database that have written something and are not over; prepared ones, which have no process, too.

A snapshot's own list would not do: it ends at the newest transaction that was over.
"""

_LOCKS_AT_ONCE = 500
_SNAPSHOT = re.compile(r"[0-9A-F]+(-[0-9A-F]+)*")
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_CHANGED = (
    psycopg.errors.SerializationFailure, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidSchemaName,
)  # fmt: skip


@dataclass
class Tries:
    """What the attempts so far have cost and told.

    :param busy: tables to lock first, as an SQL array: what attempts have learned of the application's own order.
    :param reasons: why they failed, in order.
    """

    made: int = 0
    waited_ms: float = 0.0
    busy: str = "{}"
    reasons: list[str] = field(default_factory=list)

    def failed(self, reason: str, busy: str | None = None) -> None:
        """Note why an attempt failed, and what it learned."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.busy = busy or self.busy


@dataclass(frozen=True)
class Moment:
    """A point that has been made, its snapshot held open by the keeper.

    :param sequences: as they were before the point.
    :param in_flight: transactions that had not ended.
    """

    name: str
    at: datetime
    lsn: str
    snapshot: str
    sequences: dict[str, SequenceFingerprint]
    in_flight: frozenset[str]
    keeper: psycopg.Connection[Any]


class Retry(LifeboatError):
    """This attempt has failed; another may succeed.

    :param busy: what it learned, as ``Tries`` keeps it.
    """

    def __init__(self, reason: str, busy: str | None = None) -> None:
        super().__init__(reason)
        self.busy = busy


def tables_of(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """The tables that a point covers, as the session sees them, parents first."""
    return {oid: name for oid, name, _ in connection.execute(sql(f"{USER_TABLES} ORDER BY depth, qualified"))}


@contextlib.contextmanager
def held_moment(server: PostgresServer, name: str, lock_timeout_ms: int, tries: Tries) -> Iterator[Moment]:
    """One attempt; the keeper's session, and its snapshot, end with the ``with`` block.

    :raises Retry: when tables are in use, or were made or dropped.
    """
    with contextlib.ExitStack() as stack:
        keeper, maker = (stack.enter_context(_session(server, lock_timeout_ms)) for _ in range(2))
        try:
            moment = _attempt(keeper, maker, name, lock_timeout_ms, tries)
        except _BUSY as error:
            raise Retry(error.diag.message_primary or "a table was in use", error.diag.message_detail) from error
        except _CHANGED as error:
            if not _tables_went(error):
                raise
            raise Retry("tables were made or dropped at the same time") from error
        except psycopg.errors.IdleInTransactionSessionTimeout as error:
            raise Retry("the way to the server was too slow to hold locks any longer") from error
        yield moment


def _tables_went(error: psycopg.Error) -> bool:
    """Whether it is about tables that come and go, not about our own functions."""
    return "lifeboat" not in (error.diag.message_primary or "")


@contextlib.contextmanager
def _session(server: PostgresServer, lock_timeout_ms: int) -> Iterator[psycopg.Connection[Any]]:
    connection = server.connect(settings={"lock_timeout": str(lock_timeout_ms)})
    try:
        yield connection
    finally:
        with contextlib.suppress(psycopg.Error):
            connection.close()


def _attempt(
    keeper: psycopg.Connection[Any], maker: psycopg.Connection[Any], name: str, lock_timeout_ms: int, tries: Tries
) -> Moment:
    listed = tables_of(maker)
    # Before the point, so that the copy's are at the same position or ahead: positions reach the log before they count.
    sequences = read_sequences(maker)
    keeper.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    _lock_weakly(keeper, list(listed.values()))
    maker.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    began = time.monotonic()
    try:
        row = maker.execute(
            "SELECT at, lsn::text, snapshot, locked, locking_ms, failed_ms"
            "  FROM lifeboat.recovery_point(%s, %s, %s::text[])",
            (name, lock_timeout_ms, tries.busy),
        ).fetchone()
        assert row is not None
        at, lsn, snapshot, locked, locking_ms, failed_ms = row
        began = time.monotonic() - locking_ms / 1000
        tries.waited_ms = max(tries.waited_ms, round(failed_ms, 1))
        if not _SNAPSHOT.fullmatch(snapshot):
            raise SourceError(f"{snapshot!r} is not the name of an exported snapshot")
        try:
            keeper.execute(sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))
        except psycopg.errors.DatabaseError as error:
            raise Retry(f"the snapshot could not be taken over: {error.diag.message_primary or error}") from error
        maker.execute("COMMIT")
    finally:
        tries.waited_ms = max(tries.waited_ms, round((time.monotonic() - began) * 1000, 1))
    seen = tables_of(keeper)
    if set(seen) != set(locked) or set(seen) != set(listed) or _sequence_names(keeper) != set(sequences):
        raise Retry("tables or sequences were made or dropped at the same time")
    in_flight = frozenset(row[0] for row in keeper.execute(IN_FLIGHT))
    exported = keeper.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    assert exported is not None
    return Moment(name, at, lsn, exported[0], sequences, in_flight, keeper)


def _lock_weakly(keeper: psycopg.Connection[Any], names: Sequence[str]) -> None:
    for start in range(0, len(names), _LOCKS_AT_ONCE):
        batch = ", ".join(f"ONLY {name}" for name in names[start : start + _LOCKS_AT_ONCE])
        keeper.execute(sql(f"LOCK TABLE {batch} IN ACCESS SHARE MODE"))


def _sequence_names(connection: psycopg.Connection[Any]) -> set[str]:
    return set(read_sequences(connection))
