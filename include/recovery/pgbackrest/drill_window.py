"""Where the drill aims: the newest point that can be reached, and a random second of the window. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.recovery.catalog.points import Heartbeat, RecoveryPoint
from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.check import ArchiveReport
from include.recovery.pgbackrest.choose import Choice, choose
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.target import Target


@dataclass(frozen=True)
class Reachable:
    """The point to restore to.

    :param point: None when none can be reached.
    :param problem: why a newer point that has to be reachable is not; None when all is well.
    :param notes: which points were passed over for a good reason.
    """

    point: RecoveryPoint | None
    choice: Choice | None
    problem: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """The seconds that recovery reaches.

    :param short: why it is shorter than promised; None when it is not.
    """

    first: datetime
    last: datetime
    short: str | None = None


def reachable_point(
    points: Iterable[RecoveryPoint],
    info: StanzaInfo,
    repository: int,
    archive: ArchiveReport,
    *,
    now: datetime,
    delay: timedelta,
) -> Reachable:
    """The newest verifiable point that a backup and its WAL lead to.

    :param points: newest first; no more of them are looked at than it takes.
    :param delay: a point younger than this may not be archived yet.
    """
    problem: str | None = None
    notes: list[str] = []
    looked = 0
    for looked, point in enumerate(points, 1):  # noqa: B007 - used below
        if point.kind != "verifiable":
            notes.append(f"point {point.name} was passed over: {point.note or 'it has only a heartbeat'}")
            continue
        target = Target.point(point.name, lsn=point.lsn, at=point.at)
        try:
            choice = choose(info, repository, target, archive.archive, archive.lineage)
        except BackupNotFound as error:
            if now - point.at <= delay:
                notes.append(f"point {point.name} was passed over: it is too young to be archived")
            else:
                problem = problem or f"point {point.name} of {point.at.isoformat()} cannot be restored: {error}"
            continue
        system = info.system_identifier(choice.backup.database_id, repository)
        if system != point.system_identifier:
            problem = problem or (
                f"point {point.name} was made in system {point.system_identifier}, and the repository holds system "
                f"{system}; make a point in the cluster that is backed up"
            )
            continue
        return Reachable(point, choice, problem, tuple(notes))
    if problem is None:
        problem = (
            f"none of {looked} recovery points is verifiable and archived; make one, and wait for "
            f"{delay.total_seconds():.0f} s until it is archived"
        )
    return Reachable(None, None, problem, tuple(notes))


def window_of(
    info: StanzaInfo,
    repository: int,
    archive: ArchiveReport,
    *,
    since: datetime,
    newest: datetime | None,
    heartbeat: timedelta,
) -> Window:
    """The seconds that have to be recoverable.

    :param since: the beginning of the window that is promised.
    :param newest: of a heartbeat that is known to be archived. Recovery to a time needs a commit after it.
    :param heartbeat: how often it is written.
    :raises BackupNotFound: when there is no such second.
    """
    backups = info.in_repository(repository)
    where = f"stanza {info.name}, repository {repository}"
    if not backups:
        raise BackupNotFound(f"{where}: there is no backup; take a full one")
    # The backup itself holds no heartbeat of its own: the first one after its end is the first that can be asked for.
    first = max(since, backups[0].stopped_at + heartbeat)
    short = None
    if backups[0].stopped_at > since:
        short = (
            f"the window begins at {backups[0].stopped_at:%Y-%m-%d %H:%M:%S}+00, when the oldest backup ended, and not "
            f"at {since:%Y-%m-%d %H:%M:%S}+00"
        )
    arrived = archive.archive.newest_at
    last = newest if newest is not None else None if arrived is None else arrived - 3 * heartbeat
    if last is None or last - timedelta(seconds=1) <= first:
        raise BackupNotFound(
            f"{where}: no second lies between the oldest backup (with a heartbeat after it) and the newest archived "
            "heartbeat; run the drill again when there is more WAL"
        )
    return Window(first, last - timedelta(seconds=1), short)


def random_second(window: Window, chance: random.Random) -> datetime:
    """Any second of a window, each as likely."""
    seconds = int((window.last - window.first).total_seconds())
    return (window.first + timedelta(seconds=chance.randint(0, max(seconds, 0)))).replace(microsecond=0)


def judge_heartbeat(newest: Heartbeat | None, second: datetime, every: timedelta) -> str | None:
    """Why a copy does not end at the second that was asked for; None when it does.

    :param every: how often the heartbeat is written; one may be missed.
    """
    if newest is None:
        return (
            f"the copy recovered to {second.isoformat()} has no heartbeat, so nobody knows where it ends; run "
            "`lifeboat prepare`, and see that the heartbeat is written"
        )
    if newest.at > second:
        return (
            f"the copy recovered to {second.isoformat()} holds a heartbeat of {newest.at.isoformat()}: it went beyond "
            "the second that was asked for; see its server.log"
        )
    if second - newest.at > 2 * every:
        return (
            f"the copy recovered to {second.isoformat()} ends at heartbeat {newest.beat} of {newest.at.isoformat()}, "
            f"{(second - newest.at).total_seconds():.0f} s before, and one is written every "
            f"{every.total_seconds():.0f} s: work is missing, or the heartbeat stood still"
        )
    return None
