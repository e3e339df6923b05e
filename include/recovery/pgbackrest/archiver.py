"""Is archive_command failing, since when, how much WAL waits, and when will the disk be full?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from include.recovery.concerns import Concern, Severity
from include.recovery.pgbackrest.segments import position_of, segment_of_name
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import PostgresServer

FAILING_CRITICAL = timedelta(minutes=10)
DISK_CRITICAL = timedelta(hours=2)
_RATE_SECONDS = 30
_STATE = """
    SELECT a.archived_count, a.last_archived_wal, a.last_archived_time, a.failed_count, a.last_failed_wal,
           a.last_failed_time, w.bytes, r.waiting, r.oldest, pg_catalog.clock_timestamp(),
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_lsn()::text END,
           pg_catalog.current_setting('data_directory'),
           (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size')
      FROM pg_catalog.pg_stat_archiver a,
           (SELECT pg_catalog.sum(size)::bigint AS bytes FROM pg_catalog.pg_ls_waldir()) w,
           (SELECT pg_catalog.count(*) AS waiting, pg_catalog.min(modification) AS oldest
              FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%.ready') r
"""


@dataclass(frozen=True)
class ArchiverState:
    """What the server says of its archiving.

    :param waiting: segments that are finished and not archived.
    :param waiting_since: when the oldest of them was finished.
    :param wal_bytes: of the folder ``pg_wal``.
    :param free_bytes: of its file system; None where it is not this machine's.
    :param position: of the log; None on a standby.
    """

    at: datetime
    archived_count: int
    last_archived: str | None
    last_archived_at: datetime | None
    failed_count: int
    last_failed: str | None
    last_failed_at: datetime | None
    waiting: int
    waiting_since: datetime | None
    wal_bytes: int
    free_bytes: int | None
    position: int | None
    segment_bytes: int

    @property
    def failing_since(self) -> datetime | None:
        """Since when archive_command fails, at the latest; None while it does not.

        The server keeps only the last failure. The first cannot be older than the last success, nor than the oldest
        segment that waits.
        """
        failed, archived = self.last_failed_at, self.last_archived_at
        if not self.waiting or failed is None or (archived is not None and failed <= archived):
            return None
        known = [moment for moment in (self.waiting_since, archived) if moment is not None]
        return min(max(known), failed) if known else failed

    @property
    def bytes_per_second(self) -> float | None:
        """How quickly WAL has been written since the last segment was archived; None when that cannot be told."""
        if self.position is None or self.last_archived is None or self.last_archived_at is None:
            return None
        try:
            done = segment_of_name(self.last_archived[:24], self.segment_bytes).start(self.segment_bytes)
        except ValueError:
            return None
        seconds = (self.at - self.last_archived_at).total_seconds()
        written = self.position - done - self.segment_bytes
        # Right after an archived segment a moment's burst says nothing about the hours to come.
        return written / seconds if seconds >= _RATE_SECONDS and written > 0 else None


@dataclass(frozen=True)
class ArchiverVerdict:
    """What it means.

    :param disk_full_in: None when WAL goes, or does not grow.
    :param concerns: what is wrong, by severity and cause; empty when all is well.
    """

    failing_for: timedelta | None
    disk_full_in: timedelta | None
    concerns: tuple[Concern, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Each a sentence; empty when all is well."""
        return tuple(concern.sentence for concern in self.concerns)


def ask_archiver(server: PostgresServer) -> ArchiverState:
    """Ask the server.

    :param server: as a superuser or a member of pg_monitor, on this machine.
    :raises SourceUnavailable, SourceError: when it cannot be asked.
    """
    with server.connect() as connection:
        try:
            row = connection.execute(_STATE).fetchone()
        except psycopg.Error as error:
            raise meaning_of_session(error, server, "asking about its archiving") from error
    assert row is not None
    return _state(row)


def judge_archiver(
    state: ArchiverState,
    *,
    allowance: timedelta,
    queue_max: int | None = None,
    earlier: ArchiverState | None = None,
    disk_margin: timedelta = timedelta(hours=24),
) -> ArchiverVerdict:
    """What the state means.

    :param allowance: how long a finished segment may wait before that is late.
    :param queue_max: bytes that may wait before pgBackRest drops WAL; None: it never does.
    :param earlier: a state of some time ago, for a better rate.
    :param disk_margin: warn when the disk will be full sooner than this.
    """
    concerns: list[Concern] = []
    since = state.failing_since
    failing_for = None if since is None else state.at - since
    if failing_for is not None and failing_for > allowance:
        concerns.append(Concern(
            Severity.CRITICAL if failing_for >= FAILING_CRITICAL else Severity.WARNING, "archive_command",
            f"archive_command has been failing for {_span(failing_for)}, last at {state.last_failed}: {state.waiting} "
            "segments wait; see pgBackRest's log and whether the repository can be reached",
        ))
    elif state.waiting_since is not None and state.at - state.waiting_since > allowance:
        waited = state.at - state.waiting_since
        concerns.append(Concern(
            Severity.CRITICAL if waited >= max(FAILING_CRITICAL, 2 * allowance) else Severity.WARNING,
            "archive_command",
            f"the oldest of {state.waiting} finished WAL segments has waited {_span(waited)} "
            f"to be archived, {_span(allowance)} are allowed; see pgBackRest's log",
        ))
    waiting = state.waiting * state.segment_bytes
    if queue_max is not None and waiting > queue_max // 2:
        concerns.append(Concern(
            Severity.CRITICAL if waiting > queue_max * 3 // 4 else Severity.WARNING, "archive queue",
            f"{_mib(waiting)} of WAL wait to be archived; beyond {_mib(queue_max)} pgBackRest drops WAL to save the "
            "disk, and a full backup is needed then: make the repository reachable",
        ))
    full = _disk_full_in(state, earlier) if state.waiting else None
    if full is not None and full < disk_margin:
        concerns.append(Concern(
            Severity.CRITICAL if full < DISK_CRITICAL else Severity.WARNING, "disk of pg_wal",
            f"the disk of pg_wal will be full in {_span(full)} at the present rate ({_mib(state.free_bytes or 0)} "
            "free), and the server stops then: make the repository reachable, or make room",
        ))
    return ArchiverVerdict(failing_for, full, tuple(concerns))


def _disk_full_in(state: ArchiverState, earlier: ArchiverState | None) -> timedelta | None:
    rate = state.bytes_per_second
    if earlier is not None and earlier.position is not None and state.position is not None and state.at > earlier.at:
        rate = (state.position - earlier.position) / (state.at - earlier.at).total_seconds()
    if state.free_bytes is None or rate is None or rate <= 0:
        return None
    return timedelta(seconds=min(state.free_bytes / rate, timedelta(days=3650).total_seconds()))


def _state(row: tuple[Any, ...]) -> ArchiverState:
    (archived_count, last_archived, last_archived_at, failed_count, last_failed, last_failed_at, wal_bytes, waiting,
     oldest, at, lsn, data, segment_bytes) = row
    return ArchiverState(
        at=at.astimezone(UTC),
        archived_count=archived_count,
        last_archived=last_archived,
        last_archived_at=last_archived_at,
        failed_count=failed_count,
        last_failed=last_failed,
        last_failed_at=last_failed_at,
        waiting=waiting,
        waiting_since=oldest,
        wal_bytes=wal_bytes or 0,
        free_bytes=free_bytes(f"{data}/pg_wal"),
        position=None if lsn is None else position_of(lsn),
        segment_bytes=segment_bytes,
    )


def free_bytes(path: str) -> int | None:
    """Bytes that an ordinary user may still write to a file system; None when there is no such path here."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _span(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172800 else f"{seconds // 86400} days"


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"
