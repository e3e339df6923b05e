"""Replication as both servers see it: the primary with replicas, slots and sessions; the standby with its replay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from include.recovery.pgbackrest.segments import position_of
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import PostgresServer, sql

_POSITION = """CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                    ELSE pg_catalog.pg_current_wal_lsn() END"""
# What a promoted server writes to; its control file learns of the new timeline only at the next checkpoint.
_WRITTEN_TIMELINE = """
    ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)
    )::bit(32)::integer
"""
_PRIMARY = f"""
    SELECT pg_catalog.clock_timestamp(), pg_catalog.pg_is_in_recovery(),
           (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
           CASE WHEN pg_catalog.pg_is_in_recovery()
                THEN (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())
                ELSE {_WRITTEN_TIMELINE} END,
           ({_POSITION})::text,
           (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_connections'),
           (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'superuser_reserved_connections'),
           (SELECT setting::bigint * 1024 * 1024 FROM pg_catalog.pg_settings
             WHERE name = 'max_slot_wal_keep_size' AND setting::bigint >= 0),
           s.sessions, s.active, s.queued
      FROM (SELECT pg_catalog.count(*) AS sessions,
                   pg_catalog.count(*) FILTER (WHERE state = 'active' AND pid <> pg_catalog.pg_backend_pid()) AS active,
                   pg_catalog.count(*) FILTER (WHERE wait_event_type = 'Lock') AS queued
              FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') s
"""  # noqa: S608 - constants of this module
_REPLICAS = """
    SELECT application_name, state, sync_state, replay_lsn::text, reply_time
      FROM pg_catalog.pg_stat_replication WHERE state <> 'backup' ORDER BY application_name, pid
"""
_SLOTS = f"""
    SELECT slot_name::text, slot_type, active, wal_status,
           pg_catalog.pg_wal_lsn_diff({_POSITION}, restart_lsn)::bigint, safe_wal_size
      FROM pg_catalog.pg_replication_slots ORDER BY slot_name
"""  # noqa: S608 - constants of this module
_STANDBY = f"""
    SELECT pg_catalog.clock_timestamp(), r.recovering,
           (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
           CASE WHEN r.recovering
                THEN coalesce(w.received_tli, (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()))
                ELSE {_WRITTEN_TIMELINE} END,
           CASE WHEN r.recovering THEN pg_catalog.pg_last_wal_receive_lsn()::text END,
           CASE WHEN r.recovering THEN pg_catalog.pg_last_wal_replay_lsn()::text END,
           pg_catalog.pg_last_xact_replay_timestamp(),
           CASE WHEN r.recovering THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END,
           w.status, w.slot_name, w.last_msg_receipt_time
      FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering) r
      LEFT JOIN pg_catalog.pg_stat_wal_receiver w ON true
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True)
class Slot:
    """One replication slot.

    :param kind: ``physical`` or ``logical``.
    :param wal_status: ``reserved``, ``extended``, ``unreserved`` or ``lost``; None for one that was never used.
    :param kept_bytes: WAL that the server keeps for it.
    :param safe_bytes: that may still be written before its WAL is in danger; None without a limit.
    """

    name: str
    kind: str
    active: bool
    wal_status: str | None
    kept_bytes: int | None
    safe_bytes: int | None


@dataclass(frozen=True)
class Replica:
    """A standby, as its primary sees it.

    :param state: ``streaming`` when all is well.
    :param replayed: a position; None when it was not told.
    """

    name: str
    state: str
    sync_state: str
    replayed: int | None
    replied_at: datetime | None


@dataclass(frozen=True)
class PrimaryState:
    """A primary at one moment.

    :param position: of its log, in bytes.
    :param slot_limit: bytes of WAL that a slot may keep (``max_slot_wal_keep_size``); None without a limit.
    :param connections: that ordinary roles may have.
    :param queued: sessions that wait for a lock.
    """

    at: datetime
    in_recovery: bool
    system_identifier: str
    timeline: int
    position: int
    slot_limit: int | None
    connections: int
    sessions: int
    active: int
    queued: int
    replicas: tuple[Replica, ...] = ()
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class StandbyState:
    """A standby at one moment.

    :param received: position until which WAL came by streaming; None when none did.
    :param replayed: position until which it was replayed; None on a server that is no standby (any more).
    :param replayed_at: of the last replayed commit, by the primary's clock.
    :param receiver: of its WAL receiver, ``streaming`` when all is well; None when none runs.
    :param heard_at: when the primary last sent something.
    """

    at: datetime
    in_recovery: bool
    system_identifier: str
    timeline: int
    received: int | None
    replayed: int | None
    replayed_at: datetime | None
    paused: bool
    receiver: str | None
    slot: str | None
    heard_at: datetime | None


def ask_primary(server: PostgresServer) -> PrimaryState:
    """Ask a primary.

    :param server: as a superuser or a member of pg_monitor. PostgreSQL 13 or newer.
    :raises SourceUnavailable, SourceError: when it cannot be asked.
    """
    with server.connect() as connection:
        try:
            row = connection.execute(sql(_PRIMARY)).fetchone()
            replicas = connection.execute(_REPLICAS).fetchall()
            slots = connection.execute(sql(_SLOTS)).fetchall()
        except psycopg.Error as error:
            raise meaning_of_session(error, server, "asking about its replication") from error
    assert row is not None
    at, in_recovery, identifier, timeline, lsn, most, reserved, slot_limit, sessions, active, queued = row
    return PrimaryState(
        at=at.astimezone(UTC), in_recovery=in_recovery, system_identifier=identifier, timeline=timeline,
        position=position_of(lsn), slot_limit=slot_limit, connections=most - reserved, sessions=sessions,
        active=active, queued=queued,
        replicas=tuple(Replica(name, state, sync, _position(lsn), when) for name, state, sync, lsn, when in replicas),
        slots=tuple(Slot(*each) for each in slots),
    )  # fmt: skip


def ask_standby(server: PostgresServer) -> StandbyState:
    """Ask a standby. Ask it before its primary: then a lag is never measured too short.

    :param server: as a superuser or a member of pg_monitor.
    :raises SourceUnavailable, SourceError: when it cannot be asked.
    """
    with server.connect() as connection:
        try:
            row = connection.execute(sql(_STANDBY)).fetchone()
        except psycopg.Error as error:
            raise meaning_of_session(error, server, "asking about its replay") from error
    assert row is not None
    return _standby(row)


def _standby(row: tuple[Any, ...]) -> StandbyState:
    at, in_recovery, identifier, timeline, received, replayed, replayed_at, paused, receiver, slot, heard_at = row
    return StandbyState(
        at=at.astimezone(UTC), in_recovery=in_recovery, system_identifier=identifier, timeline=timeline,
        received=_position(received), replayed=_position(replayed), replayed_at=replayed_at, paused=paused,
        receiver=receiver, slot=slot, heard_at=heard_at,
    )  # fmt: skip


def _position(lsn: str | None) -> int | None:
    return None if lsn is None else position_of(lsn)
