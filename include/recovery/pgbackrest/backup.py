"""Full, differential and incremental backups to one repository, and what ``info`` says of them afterwards."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.recovery.catalog.model import Backup, PhysicalBackup
from include.recovery.errors import BackupCorrupt, LifeboatError, SourceError
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.commands import BackupType
from include.recovery.pgbackrest.configuration import Options
from include.recovery.pgbackrest.failures import meaning_of_status
from include.recovery.pgbackrest.info import BackupInfo, StanzaInfo
from include.recovery.pgbackrest.tool import PgBackRest, version

_FILE = re.compile(r"(?:backup|restore) file .*? \((?:[^()]*, )?(\d+(?:\.\d+)?)([KMGT]?B), [\d.]+%\)")
_LABEL = re.compile(r"new backup label = (\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?)")
_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_CHANGED = "backup has been changed to full"


@dataclass(frozen=True)
class TakenBackup:
    """A backup that pgBackRest has made and Lifeboat has not cataloged yet.

    :param parent: label of the backup that it was made against; None for a full one.
    :param notes: what pgBackRest did otherwise than asked.
    """

    physical: PhysicalBackup
    parent: str | None
    started_at: datetime
    stopped_at: datetime
    server_version: str
    tool_version: str
    compression: str
    notes: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """What ``BackupInProgress.commit`` wants to know, but for ``parent``: see ``parent_id``."""
        return {
            "snapshot_at": self.stopped_at,
            "lsn": self.physical.lsn_stop,
            "server_version": self.server_version,
            "tool_versions": {"pgbackrest": self.tool_version},
            "compression": self.compression,
            "source_size": self.physical.database_size,
            "parts": (),
            "fingerprint": None,
            "physical": self.physical,
        }


def ensure_stanza(
    tool: PgBackRest,
    *,
    repository: int | None = None,
    found: StanzaInfo | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Make the stanza in every repository that lacks it.

    :param repository: the one that has to answer; where it has its stanza, trouble with another stops nothing. None:
        every one has to.
    :param found: what all repositories have, where somebody has just looked: each look takes a moment.
    :return: whether any was made.
    :raises SourceError: when a repository's stanza belongs to another cluster.
    :raises StoreUnavailable, StoreError, WrongKey: when a repository cannot be looked into.
    """
    found = found or tool.info()
    there = repository is not None and not found.repository(repository).lacks_stanza
    for status in found.repositories:
        if status.unreadable and (not there or status.number == repository):
            raise meaning_of_status(status.message, tool.stanza, status.number)
    missing = [status.number for status in found.repositories if status.lacks_stanza]
    if not missing or any(status.unreadable for status in found.repositories):
        return False
    tool.run(commands.stanza_create(tool.call), f"making the stanza in repository {_listed(missing)}", stop=stop)
    return True


def back_up(
    tool: PgBackRest,
    kind: BackupType,
    repository: int,
    *,
    options: Options,
    server_version: str,
    annotations: Mapping[str, str] | None = None,
    found: StanzaInfo | None = None,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> TakenBackup:
    """Back up a cluster to one repository.

    pgBackRest makes a full backup where a differential or incremental one has nothing to stand on; the result says so.

    :param options: as they were configured; for the manifest.
    :param annotations: names and values that ``pgbackrest info`` shows beside the backup.
    :param found: see ``ensure_stanza``.
    :param stop: ends the backup when set; the next one takes over the files that were copied.
    :raises LeaseHeld: when another pgBackRest works on the stanza.
    :raises SourceError, SourceUnavailable, StoreUnavailable, StoreError: see ``failures``.
    """
    ensure_stanza(tool, repository=repository, found=found, stop=stop)
    label: list[str] = []
    notes: list[str] = []
    report = reporter(progress)

    def on_line(line: str) -> None:
        report(line)
        if match := _LABEL.search(line):
            label.append(match[1])
        if _CHANGED in line:
            notes.append(f"there was nothing for a {_WORDS[kind]} backup to stand on, so this is a full one")

    argv = commands.backup(tool.call, kind, repository, annotations=annotations)
    tool.outcome(argv, f"the {_WORDS[kind]} backup to repository {repository}", stop=stop, on_line=on_line)
    if not label:
        raise LifeboatError(
            f"stanza {tool.stanza}: pgBackRest ended well and named no backup; see its log, and run the backup again"
        )
    return describe(tool, label[-1], repository, options=options, server_version=server_version, notes=tuple(notes))


def describe(
    tool: PgBackRest,
    label: str,
    repository: int,
    *,
    options: Options,
    server_version: str,
    notes: tuple[str, ...] = (),
) -> TakenBackup:
    """A backup that is in a repository, as the catalog keeps it; also for one that somebody else has made.

    :raises BackupNotFound: when it is not there.
    """
    found = tool.info(repository=repository, label=label)
    backup = found.backup(label, repository)
    physical = physical_of(found, backup)
    if physical.page_checksum_errors:
        files = ", ".join(backup.damaged_files[:3]) or "see pgBackRest's log"
        notes = (*notes, f"pages failed their checksum in {physical.page_checksum_errors} files ({files})")
    level = "" if options.compress_level is None else f"-{options.compress_level}"
    return TakenBackup(
        physical=physical,
        parent=backup.prior,
        started_at=backup.started_at,
        stopped_at=backup.stopped_at,
        server_version=server_version,
        tool_version=backup.tool_version or version(tool.call.program),
        compression=f"{options.compress_type}{level if options.compress_type != 'none' else ''}",
        notes=notes,
    )


def physical_of(info: StanzaInfo, backup: BackupInfo) -> PhysicalBackup:
    """What the catalog keeps of a backup."""
    return PhysicalBackup(
        stanza=info.name,
        label=backup.label,
        type=backup.type,
        repository=backup.repository,
        reference=backup.references,
        timeline=backup.timeline,
        lsn_start=backup.lsn_start,
        lsn_stop=backup.lsn_stop,
        wal_start=backup.wal_start,
        wal_stop=backup.wal_stop,
        system_identifier=info.system_identifier(backup.database_id, backup.repository),
        databases=backup.databases,
        database_size=backup.size,
        repository_size=backup.repository_size,
        page_checksum_errors=max(len(backup.damaged_files), int(backup.error)),
    )


def parent_id(rows: Iterable[Backup], taken: TakenBackup) -> str | None:
    """The catalog's id of the backup that one depends on.

    :param rows: of the same source and kind, from the catalog that it will be written to.
    :return: None for a full backup.
    :raises SourceError: when the catalog does not know it: then retention would not know what it must keep.
    """
    if taken.parent is None:
        return None
    for row in rows:
        known = row.manifest.physical
        if known is not None and (known.label, known.stanza) == (taken.parent, taken.physical.stanza):
            return row.manifest.id
    raise SourceError(
        f"stanza {taken.physical.stanza}: backup {taken.physical.label} stands on {taken.parent}, which the catalog "
        "does not know; take it into the catalog first, or take a full backup"
    )


def refuse_damaged(taken: TakenBackup) -> None:
    """Nothing for a backup whose pages are all sound.

    :raises BackupCorrupt: naming the damage: the *server's* pages are broken, and so is every copy of them.
    """
    if taken.physical.page_checksum_errors:
        raise BackupCorrupt(
            f"stanza {taken.physical.stanza}: backup {taken.physical.label}: {taken.notes[-1]}; the server's own pages "
            "are damaged: restore the database from an older backup, and check the server's disk"
        )


def reporter(progress: Progress) -> Callable[[str], None]:
    """Tells a progress of the files that pgBackRest's lines name."""

    def on_line(line: str) -> None:
        if match := _FILE.search(line):
            size = int(float(match[1]) * _UNITS[match[2]])
            progress.add("cluster", 0, size)

    return on_line


_WORDS: Mapping[BackupType, str] = {"full": "full", "diff": "differential", "incr": "incremental"}


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)
