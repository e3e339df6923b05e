"""The newest recoverable point of a source against its RPO, measured: backups, the WAL archive, the heartbeat."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from include.recovery.catalog.archive_proofs import ArchiveProof
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import LifeboatError, SourceUnavailable
from include.recovery.evidence.words import duration, moment
from include.recovery.pgbackrest.archiver import ArchiverState
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import PostgresSource
from include.recovery.policy.rpo import has_base, worst_loss
from include.recovery.postgres.heartbeat import read_heartbeat
from include.recovery.watchdog.look import Subject, ToldElsewhere

_FULL = 0.8
"""Of the RPO: older than this, the next minutes decide."""
_LATE_BEATS = 3
_FRESH = 3
"""So many intervals of the replay proof may pass before its last word is too old to count."""


@dataclass(frozen=True)
class Point:
    """Something that can be recovered to.

    :param at: the moment.
    :param what: for messages.
    """

    at: datetime
    what: str


@dataclass(frozen=True)
class Bounds:
    """How old the newest recoverable point of a source may be.

    :param by_the_clock: its rhythm is a schedule on the wall clock, which counts a day as 24 hours also when the clocks
        change; archived WAL has no such rhythm.
    """

    warn: timedelta
    missed: timedelta
    by_the_clock: bool


def judge_age(point: Point, bounds: Bounds, time_zone: str, now: datetime) -> tuple[Severity | None, timedelta]:
    """Whether a point is too old, and how old it is as its bounds count."""
    # In UTC: Python takes the difference of two times of one zone on its wall clock.
    age = now.astimezone(UTC) - point.at.astimezone(UTC)
    if bounds.by_the_clock:
        zone = ZoneInfo(time_zone)
        wall = now.astimezone(zone).replace(tzinfo=None) - point.at.astimezone(zone).replace(tzinfo=None)
        age = min(age, wall)
    age = max(age, timedelta())
    if age > bounds.missed:
        return Severity.CRITICAL, age
    return (Severity.WARNING if age > bounds.warn else None), age


def bounds_of(subject: Subject) -> Bounds:
    """What the policy allows: its RPO, and where its schedule makes points just as far apart, the time to make one."""
    rpo, loss = subject.system.rpo(subject.source), worst_loss(subject.system, subject.source)
    usual = loss.until_done or rpo
    if subject.source.wal is not None and has_base(subject.system, subject.source):
        return Bounds(min(max(usual, _FULL * rpo), rpo), rpo, by_the_clock=False)
    missed = max(rpo, usual)
    return Bounds(min(max(usual, _FULL * rpo), missed), missed, by_the_clock=True)


def archived_until(state: ArchiverState, beat_at: datetime | None) -> datetime | None:
    """Until when the server's work is archived, by its own account; None when nothing ever was.

    A server that is quiet closes no segment. So when nothing waits, and no heartbeat is younger than the last segment,
    there is nothing to lose.
    """
    if state.last_archived_at is None:
        return None
    quiet = state.waiting == 0 and state.failing_since is None
    if quiet and (beat_at is None or beat_at <= state.last_archived_at):
        return state.at
    return state.last_archived_at


def recoverable(subject: Subject) -> Iterator[Concern]:
    """The newest point that a source can be recovered to, against its RPO."""
    system, source, zone = subject.system, subject.source, subject.system.time_zone
    points, unseen = _backups(subject)
    archived = _archived(subject) if points else None
    newest = max([*points, *([archived] if archived else [])], key=lambda point: point.at, default=None)
    bounds = bounds_of(subject)
    objective = f"RPO {system.objective(source).in_words('rpo')}"
    if newest is None:
        if not unseen and subject.now - subject.known_since("source") > bounds.missed:
            yield Concern(
                Severity.CRITICAL, "rpo",
                f"{subject.name}: nothing can be recovered, for no store has an undamaged backup ({objective}); take "
                "one now, and see why none is there",
            )
        return
    severity, age = judge_age(newest, bounds, zone, subject.now)
    if severity is None:
        return
    if unseen:
        # One of them may have a younger point.
        raise ToldElsewhere
    told = f"{subject.name}: the newest recoverable point is {duration(age)} old ({newest.what}), {objective}"
    if severity is Severity.CRITICAL:
        yield Concern(severity, "rpo", f"{told}, so it is missed now; {_what_to_do(subject)}")
    else:
        left = duration(bounds.missed - age)
        yield Concern(severity, "rpo", f"{told}, so it is missed in {left}; {_what_to_do(subject)}")


def heart_beats(subject: Subject) -> Iterator[Concern]:
    """Whether the heartbeat is written: without it, no restore can tell what it lost."""
    source = subject.source
    physical = source.physical
    if not isinstance(source, PostgresSource) or physical is None:
        return
    if subject.now - subject.known_since("source") <= _LATE_BEATS * physical.heartbeat:
        return
    try:
        beat = read_heartbeat(subject.look.workspace.server(source))
    except SourceUnavailable as error:
        if subject.source.wal is None:
            raise
        # The check of the primary tells that its server does not answer.
        raise ToldElsewhere from error
    if beat is None or subject.now - beat.at > _LATE_BEATS * physical.heartbeat + timedelta(minutes=1):
        since = "ever" if beat is None else f"since {moment(beat.at, subject.system.time_zone)}"
        yield Concern(
            Severity.WARNING, "heartbeat",
            f"{subject.name}: no heartbeat was written {since}, one is due each {print_duration(physical.heartbeat)}, "
            "so no restore can tell what it lost; see whether `lifeboat beat` runs",
        )


def _backups(subject: Subject) -> tuple[list[Point], bool]:
    """The undamaged backups of all stores, and whether a store could not be seen."""
    points, unseen = [], False
    for store in subject.look.stores:
        try:
            backups = subject.backups(store)
        except ToldElsewhere:
            unseen = True
            continue
        points += [
            Point(each.manifest.snapshot_at, f"backup {each.manifest.id} in {store}")
            for each in backups if not each.damaged and each.manifest.snapshot_at <= subject.now
        ]
        points += _unchanged(subject, {each.manifest.id for each in backups if not each.damaged})
    return points, unseen


def _unchanged(subject: Subject, backups: Collection[str]) -> Iterator[Point]:
    """Until when a source has held just what an undamaged backup holds."""
    for tier in subject.system.tiers_of(subject.source):
        if tier.only_when_changed:
            look = subject.look.look_at(subject.system.system, subject.source.name, tier.name)
            if look is not None and look.backup in backups and look.at <= subject.now:
                yield Point(look.at, f"backup {look.backup}, unchanged since")


def _archived(subject: Subject) -> Point | None:
    """Until when WAL can be rolled forward; None when the source's is not archived, or nobody can tell.

    :raises ToldElsewhere: when the server cannot be asked.
    """
    system, source = subject.system, subject.source
    if source.wal is None or not has_base(system, source) or not system.repository_stores(source):
        return None
    proof = _replayed(subject)
    if proof is not None and proof.recoverable_at is not None and (proof.waiting or proof.found):
        return Point(proof.recoverable_at, "the last commit that the replay proof replayed")
    try:
        state = subject.look.protection(system, source).state
    except LifeboatError as error:
        # A server that is down writes nothing that could be lost; that it is down, its own check tells.
        raise ToldElsewhere from error
    try:
        beat = read_heartbeat(subject.look.workspace.server(source))
    except LifeboatError:
        beat = None
    until = archived_until(state, beat.at if beat else None)
    return None if until is None else Point(until, f"WAL archived until {moment(until, system.time_zone)}")


def _replayed(subject: Subject) -> ArchiveProof | None:
    """The replay proof's last word, while it is fresh."""
    wal = subject.source.wal
    if wal is None or wal.replay_proof is None:
        return None
    store = subject.system.repository_stores(subject.source)[0]
    proof = subject.look.archive_proof(subject.system.system, subject.source.name, store, "replay")
    if proof is None or subject.now - proof.at > _FRESH * wal.replay_proof or proof.caught_up_at is None:
        return None
    return proof


def _what_to_do(subject: Subject) -> str:
    if subject.source.wal is not None:
        return "see why WAL does not reach the stores (archive_command, pgBackRest's log), or take a backup now"
    return "take a backup now, and see why the scheduled one is not there"
