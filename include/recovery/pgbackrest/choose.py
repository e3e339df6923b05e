"""Which backup reaches a recovery target, or a sentence why none does. Pure.

pgBackRest chooses by itself for a time, and takes the newest backup for a name or a transaction, which may have been
made after it. And it finds out that WAL is missing after an hour of copying. So the choice is made here, before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.info import BackupInfo, StanzaInfo
from include.recovery.pgbackrest.segments import Lineage, lsn_of, position_of, segment_of_name
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.wal import Archive, Reach, reach

_LISTED = timedelta(seconds=1)
"""pgBackRest tells whole seconds, cut off: what arrived or ended within one may be later by as much."""


@dataclass(frozen=True)
class Choice:
    """Where a recovery begins.

    :param reach: how far its WAL goes.
    :param skipped: newer backups that reach the target too and cannot be used, with the reason.
    """

    backup: BackupInfo
    reach: Reach
    skipped: tuple[str, ...] = ()


def choose(
    info: StanzaInfo, repository: int, target: Target, archive: Archive, lineage: Lineage, *, label: str | None = None
) -> Choice:
    """The newest backup of a repository from which recovery reaches a target.

    :param lineage: of the timeline that the target is on.
    :param label: only this backup will do.
    :raises BackupNotFound: when none does: before the first backup, after the last WAL, in a gap.
    """
    where = f"stanza {info.name}, repository {repository}"
    backups = [each for each in info.in_repository(repository) if label in (None, each.label)]
    if not backups:
        raise BackupNotFound(f"{where}: there is no backup{f' {label}' if label else ''}; take a full one")
    complete = [each for each in backups if _is_before(each, target)]
    if not complete:
        first = backups[0]
        raise BackupNotFound(
            f"{where}: {target.in_words} lies before the end of {'backup' if label else 'the first backup,'} "
            f"{first.label}, which ended at {first.stopped_at:%Y-%m-%d %H:%M:%S}+00, LSN {first.lsn_stop}; choose a "
            f"later target{', an earlier backup' if label else ''} or another repository"
        )
    _refuse_the_future(where, target, archive)
    skipped: list[str] = []
    for backup in reversed(complete):
        why = _unusable(info, repository, backup, lineage)
        reached = reach(archive, lineage, segment_of_name(backup.wal_start, archive.segment_bytes))
        why = why or _short_of(target, backup, reached, archive)
        if why is None:
            return Choice(backup, reached, tuple(skipped))
        skipped.append(f"{backup.label}: {why}")
    why_not = "; ".join(skipped[:3])
    raise BackupNotFound(f"{where}: {target.in_words} cannot be reached: {why_not}; choose another target")


def _is_before(backup: BackupInfo, target: Target) -> bool:
    """Whether a backup had ended when the target happened; true when nobody knows when it did."""
    if target.lsn is not None:
        return position_of(backup.lsn_stop) <= position_of(target.lsn)
    if target.at is not None:
        return backup.stopped_at + _LISTED <= target.at
    return True


def _refuse_the_future(where: str, target: Target, archive: Archive) -> None:
    newest = archive.newest_at
    if target.at is not None and target.lsn is None and newest is not None and target.at >= newest + _LISTED:
        raise BackupNotFound(
            f"{where}: {target.in_words} lies after the last archived WAL, which arrived at "
            f"{newest:%Y-%m-%d %H:%M:%S}+00; choose an earlier target, or newest"
        )


def _unusable(info: StanzaInfo, repository: int, backup: BackupInfo, lineage: Lineage) -> str | None:
    try:
        info.chain(backup.label, repository)
    except BackupNotFound as error:
        return str(error)
    if backup.error:
        return "pages failed their checksum while it was made"
    if not lineage.has(backup.timeline, position_of(backup.lsn_stop)):
        return f"it was made on timeline {backup.timeline}, which is no part of timeline {lineage.timeline}'s past"
    return None


def _short_of(target: Target, backup: BackupInfo, reached: Reach, archive: Archive) -> str | None:
    """Why WAL does not reach the target; None when it does, as far as anybody can tell beforehand."""
    size = archive.segment_bytes
    end = -1 if reached.last is None else reached.last.number
    gap = "" if reached.stopped_by is None else f"WAL segment {reached.stopped_by.name(size)} is missing or unfit, and "
    if end < segment_of_name(backup.wal_stop, size).number:
        return f"{gap}it cannot even become consistent without it"
    if target.lsn is not None and position_of(target.lsn) > (end + 1) * size:
        return f"{gap}its WAL ends at LSN {lsn_of((end + 1) * size)}"
    guessed = target.lsn is None and target.kind != "newest" and reached.stopped_by is not None
    if guessed and _is_after(target, reached, archive):
        return f"{gap}the target lies after it"
    return None


def _is_after(target: Target, reached: Reach, archive: Archive) -> bool:
    """Whether a target with a known time lies after the last WAL before a gap."""
    if target.at is None or reached.last is None:
        return target.at is not None
    return target.at >= max(file.modified for file in archive.segments[reached.last]) + _LISTED
