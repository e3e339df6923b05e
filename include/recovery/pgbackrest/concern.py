"""What concerns one backup: is it there with all that it needs, and which of a repository's problems are its own?

``pgbackrest verify`` reads a whole repository; a problem of another backup must not make this one unfit, and one that
cannot be told apart must.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from include.recovery.catalog.model import PhysicalBackup
from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.choose import Choice, choose
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, Lineage, segment_of_name
from include.recovery.pgbackrest.stanza import Stanza
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.wal import Archive, lineage_of
from include.recovery.pgbackrest.wal_content import archive_path, read_archive, read_histories

_LABEL = re.compile(r"\b\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?\b")
_SEGMENT = re.compile(r"(?<![0-9A-F])[0-9A-F]{24}(?![0-9A-F])")


def problems_of(
    problems: Iterable[str], physical: PhysicalBackup, *, segment_bytes: int = SEGMENT_BYTES
) -> tuple[str, ...]:
    """Those that make a backup, or recovery from it, unfit.

    :param problems: sentences of ``check.verify``.
    """
    return tuple(problem for problem in problems if _concerns(problem, physical, segment_bytes))


@dataclass(frozen=True)
class Held:
    """What a repository has of a stanza: backups, log, and the timeline that recovery would follow."""

    info: StanzaInfo
    number: int
    archive: Archive
    lineage: Lineage

    def choose(self, target: Target, *, label: str | None = None) -> Choice:
        """The backup from which recovery reaches a target.

        :raises BackupNotFound: when none does.
        """
        return choose(self.info, self.number, target, self.archive, self.lineage, label=label)


def held(stanza: Stanza, number: int, *, timeline: int | None = None) -> Held:
    """Look into a repository; no content is read.

    :param timeline: None follows the newest.
    :raises BackupNotFound: when the repository has no archive at all.
    """
    tool, size = stanza.tool, stanza.segment_bytes
    info = tool.info(repository=number)
    where = info.archive(number)
    if where is None:
        raise BackupNotFound(f"stanza {info.name}: repository {number} has no archive; make the stanza, take a backup")
    archive = read_archive(tool, number, where.archive_id, segment_bytes=size)
    histories = read_histories(tool, number, archive, archive_path(info.name, where.archive_id))
    return Held(info, number, archive, lineage_of(archive, histories, timeline))


def reachable(
    stanza: Stanza, number: int, target: Target, *, label: str | None = None, timeline: int | None = None
) -> Choice:
    """The backup of a repository from which recovery reaches a target.

    :param label: only this one will do.
    :param timeline: that the target is on; None: as the target says, else the newest.
    :raises BackupNotFound: when none does, or when the repository has no archive at all.
    """
    if timeline is None and target.timeline.isdecimal():
        timeline = int(target.timeline)
    return held(stanza, number, timeline=timeline).choose(target, label=label)


def missing_of(stanza: Stanza, number: int, physical: PhysicalBackup) -> tuple[str, ...]:
    """Why a backup cannot be restored, as far as listings tell; nothing when it can."""
    info = stanza.tool.info(repository=number)
    try:
        _is_the_one(info, number, physical)
        target = Target.position(physical.lsn_stop)
        reachable(stanza, number, target, label=physical.label, timeline=physical.timeline)
    except BackupNotFound as error:
        return (str(error),)
    return ()


def _is_the_one(info: StanzaInfo, number: int, physical: PhysicalBackup) -> None:
    """Nothing when the repository has the very backup that the catalog knows, with all that it stands on."""
    info.chain(physical.label, number)
    found = info.backup(physical.label, number)
    identifier = info.system_identifier(found.database_id, number)
    if (found.lsn_stop, identifier) != (physical.lsn_stop, physical.system_identifier):
        raise BackupNotFound(
            f"stanza {info.name}: backup {physical.label} in repository {number} is of cluster {identifier} and ends "
            f"at {found.lsn_stop}, and the catalog knows one of {physical.system_identifier} that ends at "
            f"{physical.lsn_stop}: another has been put in its place; restore from another store"
        )


def _concerns(problem: str, physical: PhysicalBackup, segment_bytes: int) -> bool:
    labels = set(_LABEL.findall(problem))
    if labels:
        return bool(labels & {physical.label, *physical.reference})
    first = segment_of_name(physical.wal_start, segment_bytes).number
    segments = _SEGMENT.findall(problem)
    # Where it is not told what is damaged, it may be this one.
    return not segments or any(segment_of_name(name, segment_bytes).number >= first for name in segments)
