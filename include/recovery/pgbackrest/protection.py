"""The primary protected from its own protection: can archiving, its queue or a slot fill the disk and stop the server?

Pure, but for ``watch_primary``. A dead repository must never stop what it protects; and what saves the disk (WAL that
is dropped, a slot that is cut off) must never go unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from include.recovery.concerns import Concern, Severity, gravest_first, worst
from include.recovery.pgbackrest.archiver import ArchiverState, ask_archiver, judge_archiver
from include.recovery.pgbackrest.cluster import Cluster, ask_cluster
from include.recovery.postgres.replication_state import Slot, ask_primary
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.slots import judge_slots

_RESERVE = 1024**3
"""Free bytes below which a disk of pg_wal is short whatever the rate: PostgreSQL's own max_wal_size by default."""


@dataclass(frozen=True)
class Guard:
    """What keeps archiving and replication from filling a disk.

    :param queue_max: bytes that may wait before pgBackRest drops WAL; None: it never does.
    :param slot_limit: bytes that a slot may keep; None: without a limit.
    :param archive_timeout: None when a quiet server never closes a segment.
    :param allowance: how long a finished segment may wait to be archived.
    :param disk_margin: warn when the disk will be full sooner than this.
    """

    queue_max: int | None
    slot_limit: int | None
    archive_timeout: timedelta | None
    allowance: timedelta
    archive_mode: str = "on"
    disk_margin: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class Protection:
    """What was found.

    :param disk_full_in: at the present rate; None when WAL goes, or does not grow.
    :param dropping_in: until pgBackRest begins to drop WAL, at the present rate; None likewise.
    """

    state: ArchiverState
    disk_full_in: timedelta | None
    dropping_in: timedelta | None
    concerns: tuple[Concern, ...]

    @property
    def worst(self) -> Severity | None:
        """None when all is well."""
        return worst(self.concerns)


def watch_primary(
    server: PostgresServer,
    *,
    queue_max: int | None,
    allowance: timedelta,
    earlier: ArchiverState | None = None,
    disk_margin: timedelta = timedelta(hours=24),
) -> Protection:
    """Ask a primary and judge.

    :param server: as a superuser, on this machine.
    :param earlier: the state of a look before, for a better rate.
    :raises SourceUnavailable, SourceError: when it cannot be asked.
    """
    cluster, state, primary = ask_cluster(server), ask_archiver(server), ask_primary(server)
    guard = guard_of(cluster, slot_limit=primary.slot_limit, queue_max=queue_max, allowance=allowance,
                     disk_margin=disk_margin)
    return judge_primary(state, primary.slots, guard, where=server.redacted, earlier=earlier)


def guard_of(
    cluster: Cluster, *, slot_limit: int | None, queue_max: int | None, allowance: timedelta, disk_margin: timedelta
) -> Guard:
    """The guard that a cluster has, by its own settings and the policy's."""
    return Guard(queue_max, slot_limit, cluster.archive_timeout, allowance, cluster.archive_mode, disk_margin)


def judge_primary(
    state: ArchiverState,
    slots: Sequence[Slot],
    guard: Guard,
    *,
    where: str,
    earlier: ArchiverState | None = None,
) -> Protection:
    """What is wrong, or will be, with a primary's disk, queue, slots and archiving.

    :param where: the server, for messages.
    :param earlier: a state of some time ago, for a better rate.
    """
    verdict = judge_archiver(
        state, allowance=guard.allowance, queue_max=guard.queue_max, earlier=earlier, disk_margin=guard.disk_margin
    )
    concerns = [Concern(each.severity, each.cause, f"{where}: {each.sentence}") for each in verdict.concerns]
    dropping = _dropping_in(state, guard, earlier)
    concerns += _archiving(guard, where)
    concerns += _queue(state, guard, dropping, where)
    concerns += _disk(state, where)
    concerns += judge_slots(slots, where=where, limit=guard.slot_limit, free_bytes=state.free_bytes)
    return Protection(state, verdict.disk_full_in, dropping, gravest_first(concerns))


def _archiving(guard: Guard, where: str) -> list[Concern]:
    found = []
    if guard.archive_mode == "off":
        found.append(Concern(
            Severity.CRITICAL, "archive_mode",
            f"{where}: archive_mode is off, so nothing is archived and no moment after the last backup can be "
            "restored; run `lifeboat prepare`, and restart the server",
        ))
    if guard.archive_timeout is None:
        found.append(Concern(
            Severity.WARNING, "archive_timeout",
            f"{where}: archive_timeout is 0, so a quiet server never closes a segment and its last work is not "
            "archived; set it to the policy's wal.archive_timeout (`lifeboat prepare` does)",
        ))
    return found


def _queue(state: ArchiverState, guard: Guard, dropping: timedelta | None, where: str) -> list[Concern]:
    waiting = state.waiting * state.segment_bytes
    if guard.queue_max is None:
        return [Concern(
            Severity.WARNING, "archive queue limit",
            f"{where}: nothing limits the WAL that waits for a dead repository, which fills the disk in the end; set "
            "physical.queue_max in the policy",
        )]
    found = []
    if state.free_bytes is not None and guard.queue_max - waiting > state.free_bytes:
        found.append(Concern(
            Severity.WARNING, "archive queue limit",
            f"{where}: {_mib(guard.queue_max)} of WAL may wait for the repository (physical.queue_max), and the disk "
            f"of pg_wal has only {_mib(state.free_bytes)} free: it would be full first; lower the limit or make room",
        ))
    if waiting > guard.queue_max:
        found.append(Concern(
            Severity.CRITICAL, "archive queue",
            f"{where}: {_mib(waiting)} of WAL wait, more than the {_mib(guard.queue_max)} of physical.queue_max: "
            "pgBackRest drops WAL now; make the repository reachable, then take a full backup",
        ))
    elif dropping is not None and dropping < guard.disk_margin:
        found.append(Concern(
            Severity.CRITICAL if dropping < timedelta(hours=1) else Severity.WARNING, "archive queue",
            f"{where}: in {_span(dropping)} at the present rate more than {_mib(guard.queue_max)} of WAL will wait, "
            "and pgBackRest drops WAL then, which no later moment can be recovered across; make the repository "
            "reachable before",
        ))
    return found


def _disk(state: ArchiverState, where: str) -> list[Concern]:
    """Short of room already, whatever the rate and whoever took it."""
    if state.free_bytes is None or state.free_bytes >= _RESERVE:
        return []
    few = state.free_bytes < 4 * state.segment_bytes
    return [Concern(
        Severity.CRITICAL if few else Severity.WARNING, "disk of pg_wal",
        f"{where}: the disk of pg_wal has {_mib(state.free_bytes)} free (its WAL is {_mib(state.wal_bytes)}); make "
        "room, since the server stops when it is full",
    )]


def _dropping_in(state: ArchiverState, guard: Guard, earlier: ArchiverState | None) -> timedelta | None:
    """How long until more WAL waits than may; only while WAL does wait and cannot go."""
    if guard.queue_max is None or state.failing_since is None:
        return None
    rate = state.bytes_per_second
    if earlier is not None and earlier.position is not None and state.position is not None and state.at > earlier.at:
        rate = (state.position - earlier.position) / (state.at - earlier.at).total_seconds()
    if rate is None or rate <= 0:
        return None
    left = max(guard.queue_max - state.waiting * state.segment_bytes, 0)
    return timedelta(seconds=min(left / rate, timedelta(days=3650).total_seconds()))


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"


def _span(duration: timedelta) -> str:
    minutes = int(duration.total_seconds()) // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
