"""Make a recovery point: a named moment of the write-ahead log, and the fingerprint of exactly that moment.

How an attempt works, and why, is told in ``point_attempt``.

Where tables cannot be locked soon, and where a policy wants no locks, the point has only a heartbeat: a lower level.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg

from include.recovery.catalog.points import LARGE_OBJECTS, RecoveryPoint
from include.recovery.errors import InsufficientRights, LifeboatError, SourceError, SourceUnavailable
from include.recovery.fingerprint.large_objects import fingerprint_large_objects
from include.recovery.fingerprint.measure import Coverage, measure
from include.recovery.fingerprint.model import DatabaseFingerprint, NotCompared
from include.recovery.fingerprint.session import snapshot_sessions
from include.recovery.jobs import Stopped
from include.recovery.postgres.functions import HEARTBEAT_TABLE
from include.recovery.postgres.heartbeat import beat, meaning_of_call, newest_in
from include.recovery.postgres.point_attempt import IN_FLIGHT, Moment, Retry, Tries, held_moment, tables_of
from include.recovery.postgres.roles import roles_of_database
from include.recovery.postgres.server import PostgresServer

_log = logging.getLogger(__name__)

SEQUENCES = NotCompared(
    object="sequences", why="not transactional: compared to be at the point's position or ahead of it, not to be equal"
)
HEARTBEAT_ROWS = "it changes by itself, and no point waits for it; it tells what a restore lost instead"
LARGE_OBJECTS_CHANGED = NotCompared(
    object=LARGE_OBJECTS, why="they changed, or may have, while the point was made, and no lock holds them"
)
ALL_ROWS = NotCompared(object="rows of all tables", why="the point has no fingerprint, only a heartbeat")

_FUNCTION = "lifeboat.recovery_point()"
_LONGEST_PAUSE = 8.0
_IN_FLIGHT_WAIT = 5.0
_READ_LOCK_TIMEOUT = "3s"
_SERVER = """
    SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'),
           (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
           pg_catalog.current_setting('max_locks_per_transaction')::bigint
           * (pg_catalog.current_setting('max_connections')::bigint
              + pg_catalog.current_setting('max_prepared_transactions')::bigint),
           pg_catalog.to_regprocedure('lifeboat.recovery_point(text, integer, text[])') IS NOT NULL
"""
_NEIGHBOURS = """
    SELECT datname FROM pg_catalog.pg_database
     WHERE datallowconn AND NOT datistemplate AND datname NOT IN (pg_catalog.current_database(), 'postgres') ORDER BY 1
"""

@dataclass(frozen=True)
class PointOptions:
    """How to make a point.

    :param lock_timeout_ms: how long one attempt may wait for all tables together, in milliseconds, and so the longest
        that it keeps writers waiting; below the server's ``deadlock_timeout``. 0 takes no locks, for a heartbeat alone.
    :param attempts: how often locks are asked for before the point falls back to a heartbeat.
    :param exclude: qualified names of tables whose rows are not compared, each with its reason.
    :param coverage: ``full``, or the share of the rows that is hashed.
    :param workers: connections that read the fingerprint at once.
    """

    lock_timeout_ms: int = 200
    attempts: int = 5
    exclude: Mapping[str, str] = field(default_factory=dict)
    coverage: Coverage = "full"
    workers: int = 2


def make_point(
    server: PostgresServer,
    system: str,
    source: str,
    options: PointOptions | None = None,
    *,
    pause: Callable[[float], object] | None = None,
    stop: threading.Event | None = None,
) -> RecoveryPoint:
    """Make a verifiable point; where the tables cannot be locked soon, one with a heartbeat, whose note tells why.

    The log can be recovered to the point as soon as the segment that names it is archived (``archive_timeout``).

    :param server: the source's primary, as the backup role.
    :param pause: sleeps between attempts, for seconds; None really sleeps, until ``stop`` is set.
    :param stop: ends the work when set.
    :raises InsufficientRights: when ``prepare`` has not been run, or a right is missing.
    :raises RowsHidden: when row-level security hides rows from the role.
    :raises SourceError: when the server is a standby, or keeps no log to recover from.
    :raises SourceUnavailable: when it cannot be reached or goes away.
    :raises LifeboatError: when the stop event was set.
    """
    options = options or PointOptions()
    pause = pause or (time.sleep if stop is None else stop.wait)
    try:
        with server.connect() as connection:
            facts = _facts(connection, server)
            tables = len(tables_of(connection))
        tries = Tries()
        why_not = _why_no_locks(options, tables, facts.lock_slots)
        while why_not is None and tries.made < options.attempts:
            if stop is not None and stop.is_set():
                raise Stopped
            if tries.made:
                pause(backoff(tries.made, random.random()))  # noqa: S311 - only spreads attempts
            tries.made += 1
            try:
                with held_moment(server, point_name(tries.made), options.lock_timeout_ms, tries) as moment:
                    return _verifiable(server, moment, (system, source), facts=facts, options=options, tries=tries,
                                       stop=stop)
            except Retry as error:
                _log.info("attempt %d at a recovery point of %s: %s", tries.made, server.redacted, error)
                tries.failed(str(error), error.busy)
            except psycopg.errors.OutOfMemory as error:
                why_not = f"the server's table of locks is full: {error.diag.message_hint or error}"
        return _heartbeat_point(server, (system, source), facts, tries, why_not or _gave_up(tries))
    except psycopg.Error as error:
        raise _meaning(error, server) from error


def backoff(failed: int, jitter: float) -> float:
    """Seconds to wait after so many failed attempts: twice as long each time, and never in step with anything.

    :param failed: at least 1.
    :param jitter: from 0 up to 1.
    """
    return min(0.25 * 2.0 ** (failed - 1), _LONGEST_PAUSE) * (0.5 + jitter)


def point_name(attempt: int = 1) -> str:
    """A name for a restore point, new for each attempt: recovery stops at the first point of a name."""
    name = f"lifeboat_{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}"
    return name if attempt == 1 else f"{name}_{attempt}"


@dataclass(frozen=True)
class _Facts:
    """The server, and what a point does not cover on it.

    :param lock_slots: how many objects can be locked at once, about, by all sessions.
    """

    system_identifier: str
    lock_slots: int
    not_compared: tuple[NotCompared, ...]


def _facts(connection: psycopg.Connection[Any], server: PostgresServer) -> _Facts:
    row = connection.execute(_SERVER).fetchone()
    assert row is not None
    standby, wal_level, identifier, slots, installed = row
    if standby:
        raise SourceError(
            f"{server.redacted}: this server is a standby, and only a primary can name a moment of its log; name the "
            f"primary in the source's connection"
        )
    if wal_level == "minimal":
        raise SourceError(
            f"{server.redacted}: wal_level is minimal, and such a log cannot be recovered from; set it to replica"
        )
    if not installed:
        raise InsufficientRights(
            f"{server.redacted}: there is no {_FUNCTION} in this database; run `lifeboat prepare` for it (again) with "
            f"a superuser's connection"
        )
    names = [name for (name,) in connection.execute(_NEIGHBOURS)]
    others = (NotCompared(
        object="other databases of the cluster", why=f"the point was made in one: not in {', '.join(names)}"
    ),) if names else ()  # fmt: skip
    return _Facts(identifier, slots, (SEQUENCES, *others))


def _why_no_locks(options: PointOptions, tables: int, slots: int) -> str | None:
    """Why not to ask for locks at all; None to ask."""
    if options.lock_timeout_ms == 0 or options.attempts < 1:
        return "the policy takes no locks"
    if tables > slots // 2:
        return (
            f"locking {tables:,} tables would fill the server's table of locks ({slots:,}): raise "
            f"max_locks_per_transaction"
        )
    return None


def _gave_up(tries: Tries) -> str:
    attempts = "1 attempt" if tries.made == 1 else f"{tries.made} attempts"
    return f"no moment without writers in {attempts}: {'; '.join(tries.reasons)}"


def _verifiable(
    server: PostgresServer,
    moment: Moment,
    of: tuple[str, str],
    *,
    facts: _Facts,
    options: PointOptions,
    tries: Tries,
    stop: threading.Event | None,
) -> RecoveryPoint:
    """The point with its fingerprint, read while writers go on.

    :raises Retry: when somebody waits for an exclusive lock, which holds up the fingerprint, which holds up them.
    """
    heartbeat = newest_in(moment.keeper)
    try:
        fingerprint = measure(
            partial(server.connect, settings={"lock_timeout": _READ_LOCK_TIMEOUT}),
            snapshot=moment.snapshot,
            exclude={**options.exclude, HEARTBEAT_TABLE: HEARTBEAT_ROWS},
            workers=options.workers,
            coverage=options.coverage,
            unlogged=False,
            roles=frozenset(roles_of_database(moment.keeper)),
            sequences=moment.sequences,
            stop=stop,
        )
    except SourceUnavailable as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise Retry("a table was about to be altered or truncated while its rows were read") from error
        raise
    not_compared = facts.not_compared
    if not _large_objects_unchanged(server, fingerprint, moment.in_flight):
        not_compared = (*not_compared, LARGE_OBJECTS_CHANGED)
        fingerprint = fingerprint.model_copy(update={"large_objects": None})
    return RecoveryPoint(
        system=of[0], source=of[1], name=moment.name, kind="verifiable", at=moment.at, lsn=moment.lsn,
        timeline=_timeline(moment.keeper, moment.lsn), system_identifier=facts.system_identifier,
        waited_ms=tries.waited_ms, attempts=tries.made, fingerprint=fingerprint, not_compared=not_compared,
        note=None if tries.made == 1 else _gave_up(Tries(tries.made - 1, reasons=tries.reasons)), heartbeat=heartbeat,
    )  # fmt: skip


def _large_objects_unchanged(
    server: PostgresServer, fingerprint: DatabaseFingerprint, in_flight: frozenset[str]
) -> bool:
    """Whether large objects are now what they were in the snapshot, and nobody can have changed them at the point.

    A transaction may be in the log before the point and yet not be over in the snapshot. So all that were in flight
    just after it have to end before the second look; one that does not, leaves the question open.
    """
    until = time.monotonic() + _IN_FLIGHT_WAIT
    while True:
        with snapshot_sessions(server.connect, None, 1) as (session,):
            still = in_flight & {row[0] for row in session.execute(IN_FLIGHT)}
            if not still or time.monotonic() > until:
                now = fingerprint_large_objects(session, fingerprint.mode)
                return now == fingerprint.large_objects and (now is None or not still)
        time.sleep(0.1)


def _heartbeat_point(
    server: PostgresServer, of: tuple[str, str], facts: _Facts, tries: Tries, why: str
) -> RecoveryPoint:
    """A named moment and the heartbeat just before it: enough to aim at, too little to call a copy identical."""
    name = point_name(tries.made + 1)
    heartbeat = beat(server)
    with server.connect() as connection:
        row = connection.execute("SELECT at, lsn::text FROM lifeboat.recovery_point(%s, 0)", (name,)).fetchone()
        assert row is not None
        timeline = _timeline(connection, row[1])
    return RecoveryPoint(
        system=of[0], source=of[1], name=name, kind="heartbeat", at=row[0], lsn=row[1], timeline=timeline,
        system_identifier=facts.system_identifier, waited_ms=tries.waited_ms, attempts=tries.made, fingerprint=None,
        not_compared=(ALL_ROWS, *facts.not_compared), note=f"only a heartbeat: {why}", heartbeat=heartbeat,
    )  # fmt: skip


def _timeline(connection: psycopg.Connection[Any], lsn: str) -> int:
    """The timeline that the server writes to: the first eight digits of a segment's name."""
    row = connection.execute("SELECT pg_catalog.pg_walfile_name(%s::pg_catalog.pg_lsn)", (lsn,)).fetchone()
    assert row is not None
    return int(str(row[0])[:8], 16)


def _meaning(error: psycopg.Error, server: PostgresServer) -> LifeboatError:
    if isinstance(error, psycopg.errors.InvalidParameterValue):
        return SourceError(
            f"{server.redacted}: {error.diag.message_primary}; set restore_points.lock_timeout in the policy below it"
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return SourceUnavailable(
            f"{server.redacted}: the server went away while a recovery point was made: "
            f"{' '.join(str(error).split())}; try again when it runs"
        )
    return meaning_of_call(error, server, _FUNCTION)
