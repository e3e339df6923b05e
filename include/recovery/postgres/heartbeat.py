"""The heartbeat: a counter and a time, written into each source every minute and read back from each restored copy.

It measures what no schedule can promise: how much a restore really lost, and how far the copies of several sources lie
apart. ``prepare`` installs the table and the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from include.recovery.catalog.points import Heartbeat
from include.recovery.errors import InsufficientRights, LifeboatError, SourceError
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.functions import HEARTBEAT_TABLE
from include.recovery.postgres.server import PostgresServer, sql

_NOT_THERE = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName)


@dataclass(frozen=True)
class Skew:
    """How far the newest heartbeats of several restored sources lie apart.

    :param seconds: between the oldest and the newest.
    :param oldest: the source whose copy ends first.
    :param newest: the source whose copy ends last.
    """

    seconds: float
    oldest: str
    newest: str


def beat(server: PostgresServer) -> Heartbeat:
    """Write the heartbeat once, and return it.

    :param server: the source, as the backup role.
    :raises InsufficientRights: when ``prepare`` has not been run, or the role may not call its function.
    :raises SourceError: when the server is a standby.
    :raises SourceUnavailable: when it cannot be reached.
    """
    try:
        with server.connect() as connection:
            row = connection.execute("SELECT beat, at FROM lifeboat.beat()").fetchone()
    except psycopg.Error as error:
        raise meaning_of_call(error, server, "lifeboat.beat()") from error
    assert row is not None
    return Heartbeat(beat=row[0], at=row[1])


def read_heartbeat(server: PostgresServer) -> Heartbeat | None:
    """The newest heartbeat in a database, such as a restored copy; None when it holds none.

    :raises InsufficientRights: when the role may not read it.
    :raises SourceUnavailable: when the server cannot be reached.
    """
    try:
        with server.connect() as connection:
            return newest_in(connection)
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "reading the heartbeat") from error


def newest_in(connection: psycopg.Connection[Any]) -> Heartbeat | None:
    """The heartbeat as a session sees it; None when the database holds none."""
    there = connection.execute(sql(f"SELECT pg_catalog.to_regclass('{HEARTBEAT_TABLE}') IS NOT NULL")).fetchone()
    if not there or not there[0]:
        return None
    row = connection.execute(sql(f"SELECT beat, at FROM {HEARTBEAT_TABLE} WHERE id = 1")).fetchone()  # noqa: S608
    return None if row is None else Heartbeat(beat=row[0], at=row[1])


def measured_loss(newest: Heartbeat, until: datetime) -> float:
    """Seconds of work that a restored copy lacks, at most: from its newest heartbeat to a moment.

    The copy may hold more than that, up to the next heartbeat; so this is never too little. Zero when the heartbeat is
    younger than the moment, as when another clock than the source's named it.

    :param newest: of the copy.
    :param until: when the source was lost; or the target of the recovery.
    """
    return max((until - newest.at).total_seconds(), 0.0)


def skew(newest: Mapping[str, Heartbeat]) -> Skew | None:
    """How far the copies of several sources lie apart; None for fewer than two.

    :param newest: of each copy, by the name of its source.
    """
    if len(newest) < 2:
        return None
    in_order = sorted(newest, key=lambda source: (newest[source].at, source))
    first, last = in_order[0], in_order[-1]
    return Skew((newest[last].at - newest[first].at).total_seconds(), first, last)


def meaning_of_call(error: psycopg.Error, server: PostgresServer, function: str) -> LifeboatError:
    """The error to raise when one of the functions of ``prepare`` could not do its work."""
    if isinstance(error, _NOT_THERE):
        return InsufficientRights(
            f"{server.redacted}: there is no {function} in this database; run `lifeboat prepare` for it (again) with a "
            f"superuser's connection"
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return InsufficientRights(
            f"{server.redacted}: {function} lacks a right: {error.diag.message_primary}; run `lifeboat prepare` for "
            f"this database (again), which grants what is missing to the backup role of the policy"
        )
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return SourceError(
            f"{server.redacted}: this server takes no writes ({error.diag.message_primary}); name the primary in the "
            f"source's connection"
        )
    return meaning_of_session(error, server, f"calling {function}")
