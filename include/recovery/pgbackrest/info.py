"""What ``pgbackrest info --output=json`` says, as plain facts. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from include.recovery.errors import BackupNotFound, ManifestInvalid

STANZA_MISSING = frozenset({1, 3})
"""Status codes of a repository that has no stanza yet: no path, or no data in it."""

_TYPES: Mapping[str, Literal["full", "diff", "incr"]] = {"full": "full", "diff": "diff", "incr": "incr"}


@dataclass(frozen=True)
class RepositoryStatus:
    """One repository's state.

    :param code: 0 when all is well; 1 and 3: no stanza; 2: no backup yet; 4: repositories differ; 99: see the message.
    """

    number: int
    code: int
    message: str
    cipher: str

    @property
    def lacks_stanza(self) -> bool:
        """Whether the stanza was not made there yet."""
        return self.code in STANZA_MISSING

    @property
    def unreadable(self) -> bool:
        """Whether pgBackRest could not look into it; the message says why."""
        return self.code not in STANZA_MISSING | {0, 2, 4}


@dataclass(frozen=True)
class DatabaseVersion:
    """A cluster that a stanza knew; pg_upgrade begins a new one."""

    id: int
    repository: int
    system_identifier: str
    version: str


@dataclass(frozen=True)
class ArchiveRange:
    """The first and last WAL segment of one cluster in one repository; None while there is none."""

    archive_id: str
    repository: int
    database_id: int
    first: str | None
    last: str | None


@dataclass(frozen=True)
class BackupInfo:
    """One backup in one repository.

    :param prior: label of the backup that it was made against.
    :param references: labels of all backups whose files it needs.
    :param size: bytes of the cluster; ``repository_size``: what it needs there with its references, ``delta`` without.
    :param error: whether pages failed their checksum while it was made.
    :param damaged_files: which ones, where they were asked for.
    :param databases: names, where they were asked for.
    """

    label: str
    type: Literal["full", "diff", "incr"]
    repository: int
    database_id: int
    prior: str | None
    references: tuple[str, ...]
    started_at: datetime
    stopped_at: datetime
    wal_start: str
    wal_stop: str
    lsn_start: str
    lsn_stop: str
    size: int
    repository_size: int
    repository_delta: int
    error: bool
    damaged_files: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    tool_version: str = ""

    @property
    def timeline(self) -> int:
        """The timeline that it was made on."""
        return int(self.wal_stop[:8], 16)


@dataclass(frozen=True)
class StanzaInfo:
    """All that a stanza has, in all repositories that were asked.

    :param code: as of a repository; 5 or so: see the message.
    :param backing_up: whether a backup or an expiry runs right now.
    """

    name: str
    code: int
    message: str
    backing_up: bool
    repositories: tuple[RepositoryStatus, ...]
    databases: tuple[DatabaseVersion, ...]
    archives: tuple[ArchiveRange, ...]
    backups: tuple[BackupInfo, ...]

    def repository(self, number: int) -> RepositoryStatus:
        """One repository's state.

        :raises BackupNotFound: when it was not asked.
        """
        for status in self.repositories:
            if status.number == number:
                return status
        raise BackupNotFound(f"stanza {self.name}: pgBackRest says nothing of repository {number}")

    def in_repository(self, number: int) -> tuple[BackupInfo, ...]:
        """Its backups, oldest first."""
        chosen = (backup for backup in self.backups if backup.repository == number)
        return tuple(sorted(chosen, key=lambda backup: (backup.stopped_at, backup.label)))

    def backup(self, label: str, repository: int) -> BackupInfo:
        """One backup.

        :raises BackupNotFound: when the repository has none of that label.
        """
        for backup in self.in_repository(repository):
            if backup.label == label:
                return backup
        known = ", ".join(backup.label for backup in self.in_repository(repository)[-5:]) or "none"
        raise BackupNotFound(
            f"stanza {self.name}: repository {repository} has no backup {label}; its newest are {known}"
        )

    def chain(self, label: str, repository: int) -> tuple[str, ...]:
        """The backups that one needs to be restored, the full one first, itself last.

        :raises BackupNotFound: when one of them is gone: then this one cannot be restored.
        """
        backup = self.backup(label, repository)
        present = {each.label for each in self.in_repository(repository)}
        needed = dict.fromkeys((*sorted(backup.references), *([backup.prior] if backup.prior else ())))
        gone = [each for each in needed if each not in present]
        if gone:
            raise BackupNotFound(
                f"stanza {self.name}: backup {label} in repository {repository} needs {', '.join(gone)}, which is "
                "gone; it cannot be restored: take a full backup, and restore from another repository until then"
            )
        return (*sorted(needed), label)

    def dependants(self, label: str, repository: int) -> tuple[str, ...]:
        """The backups that cannot be restored without this one, newest first: the order in which to remove them."""
        found = {label}
        for backup in self.in_repository(repository):
            if backup.prior in found or found.intersection(backup.references):
                found.add(backup.label)
        return tuple(sorted(found - {label}, reverse=True))

    def system_identifier(self, database_id: int, repository: int) -> str:
        """The cluster that a backup was made of.

        :raises ManifestInvalid: when the stanza does not say.
        """
        for database in self.databases:
            if (database.id, database.repository) == (database_id, repository):
                return database.system_identifier
        raise ManifestInvalid(f"stanza {self.name}: repository {repository} does not name its cluster {database_id}")

    def archive(self, repository: int) -> ArchiveRange | None:
        """The WAL of the newest cluster in a repository."""
        ranges = [each for each in self.archives if each.repository == repository]
        return max(ranges, key=lambda each: each.database_id, default=None)


def parse_info(data: bytes | str, stanza: str) -> StanzaInfo:
    """What pgBackRest printed.

    :raises ManifestInvalid: when it is not what pgBackRest prints.
    """
    try:
        # With a wrong pass pgBackRest quotes what it decrypted to.
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        document = json.loads(text, strict=False)
        found = next(each for each in document if each["name"] == stanza)
        return _stanza(found)
    except StopIteration:
        raise ManifestInvalid(f"pgBackRest's answer says nothing of stanza {stanza}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestInvalid(
            f"pgBackRest's answer about stanza {stanza} cannot be read ({type(error).__name__}: {error}); "
            "is its version supported?"
        ) from error


def _stanza(found: Mapping[str, Any]) -> StanzaInfo:
    locks = found["status"].get("lock", {})
    return StanzaInfo(
        name=found["name"],
        code=found["status"]["code"],
        message=found["status"]["message"],
        backing_up=bool(locks.get("backup", {}).get("held")),
        repositories=tuple(
            RepositoryStatus(each["key"], each["status"]["code"], each["status"]["message"], each["cipher"])
            for each in found["repo"]
        ),
        databases=tuple(
            DatabaseVersion(each["id"], each["repo-key"], str(each["system-id"]), each["version"])
            for each in found["db"]
        ),
        archives=tuple(
            ArchiveRange(
                each["id"], each["database"]["repo-key"], each["database"]["id"], each.get("min"), each.get("max")
            )
            for each in found["archive"]
        ),
        backups=tuple(_backup(each) for each in found["backup"]),
    )


def _backup(found: Mapping[str, Any]) -> BackupInfo:
    sizes = found["info"]
    stored = sizes["repository"]
    return BackupInfo(
        label=found["label"],
        type=_TYPES[found["type"]],
        repository=found["database"]["repo-key"],
        database_id=found["database"]["id"],
        prior=found["prior"],
        references=tuple(found["reference"] or ()),
        started_at=datetime.fromtimestamp(found["timestamp"]["start"], UTC),
        stopped_at=datetime.fromtimestamp(found["timestamp"]["stop"], UTC),
        wal_start=found["archive"]["start"],
        wal_stop=found["archive"]["stop"],
        lsn_start=found["lsn"]["start"],
        lsn_stop=found["lsn"]["stop"],
        size=sizes["size"],
        # With block-incremental backups pgBackRest no longer knows the size of the whole, only of what this one added.
        repository_size=stored.get("size") or stored["delta"],
        repository_delta=stored["delta"],
        error=bool(found.get("error")),
        damaged_files=tuple(found.get("error-list") or ()),
        databases=tuple(each["name"] for each in found.get("database-ref") or ()),
        annotations=dict(found.get("annotation") or {}),
        tool_version=found["backrest"]["version"],
    )
