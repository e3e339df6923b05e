"""Backups whose bytes are no parts of a store: a tool's repository has them, or a service. This says which they are."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from include.recovery.catalog.record import Record


class PhysicalBackup(Record):
    """A backup of a whole cluster in a pgBackRest repository. Its files are pgBackRest's; this says which they are.

    :param stanza: pgBackRest's name of the cluster, ``<system>-<source>``.
    :param label: pgBackRest's name of the backup.
    :param repository: pgBackRest's number of the repository, as configured when the backup was made.
    :param reference: labels of all backups whose files it needs; without one of them it cannot be restored.
    :param timeline: it was made on.
    :param lsn_start: with ``lsn_stop``, ``wal_start`` and ``wal_stop`` what must be replayed to make it consistent.
    :param system_identifier: of the cluster, decimal.
    :param databases: names of those that it holds.
    :param database_size: bytes of the cluster.
    :param repository_size: bytes of it and all that it references, compressed and encrypted.
    :param page_checksum_errors: files with pages that failed their checksum while they were copied.
    """

    stanza: str
    label: str
    type: Literal["full", "diff", "incr"]
    repository: int
    reference: tuple[str, ...] = ()
    timeline: int
    lsn_start: str
    lsn_stop: str
    wal_start: str
    wal_stop: str
    system_identifier: str
    databases: tuple[str, ...] = ()
    database_size: int
    repository_size: int
    page_checksum_errors: int = 0


class ManagedCopy(Record):
    """A managed snapshot in one region.

    :param region: of the service.
    :param store: the store whose catalog lists it.
    :param identifier: by which the service finds it.
    :param arn: its name in all of the service.
    :param created_at: when the service made it; another snapshot of the same identifier has another time.
    :param kms_key: ARN of the key that encrypts it.
    """

    region: str
    store: str
    identifier: str
    arn: str
    created_at: AwareDatetime
    encrypted: bool
    kms_key: str | None = None


class ManagedSnapshot(Record):
    """A snapshot that a managed service keeps itself. Its bytes are the service's; this says which it is, and where.

    :param instance: the database instance that it was made of.
    :param engine: with its version in ``Facts.server_version``.
    :param allocated_gib: storage of the instance, in GiB.
    :param size: bytes that the snapshot holds; 0 where the service does not tell.
    :param copies: the first was made of the instance, the others are copies of it in other regions.
    """

    service: Literal["rds"] = "rds"
    instance: str
    engine: str
    allocated_gib: int
    size: int = 0
    copies: tuple[ManagedCopy, ...]

    def copy_in(self, store: str) -> ManagedCopy | None:
        """The copy that a store's catalog lists."""
        return next((copy for copy in self.copies if copy.store == store), None)
