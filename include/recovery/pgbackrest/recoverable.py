"""The newest moment that recovery from a store's repository reaches, as its listing shows it now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from include.recovery.errors import BackupNotFound, LifeboatError
from include.recovery.pgbackrest.check import check_archive
from include.recovery.pgbackrest.choose import choose
from include.recovery.pgbackrest.stanza import folders_of, open_reading
from include.recovery.pgbackrest.target import Target

if TYPE_CHECKING:
    from include.recovery.catalog.model import Backup
    from include.recovery.policy.models import PostgresSource, ProtectedSystem
    from include.recovery.workspace import Workspace


@dataclass(frozen=True)
class Recoverable:
    """How far recovery gets.

    :param at: when the last WAL segment that it gets to had arrived. What was committed later is lost, and what was
        committed while that segment was on its way.
    :param backup: that recovery begins with.
    :param stopped_by: name of the segment that is missing or unfit behind the last one; None when there is no hole.
    """

    at: datetime
    backup: Backup
    stopped_by: str | None


def recoverable_until(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    store: str,
    backups: Iterable[Backup],
    now: datetime,
) -> Recoverable:
    """How far a store's archive rolls the newest of some backups forward.

    :param backups: of the cluster, undamaged, from the store's catalog; from the first one that leads anywhere.
    :raises BackupNotFound: when none of them leads anywhere.
    :raises StoreUnavailable, KeyUnavailable, LifeboatError: when the repository cannot be looked at.
    """
    where = f"{system.system}/{source.name}: the WAL in store {store}"
    try:
        stanza = open_reading(workspace, system, source, store)
    except OSError as error:
        raise LifeboatError(
            f"{where} cannot be looked at by this user: {folders_of(system, source).root} ({error.strerror}); run this "
            "as the server's operating-system user"
        ) from error
    number = stanza.number(store)
    archive = check_archive(stanza.tool, number, since=now, segment_bytes=stanza.segment_bytes)
    info, why = stanza.tool.info(repository=number), "there is no backup"
    for backup in sorted(backups, key=lambda each: each.manifest.snapshot_at, reverse=True):
        physical = backup.manifest.physical
        if physical is None:
            continue
        try:
            found = choose(
                info, number, Target.newest(), archive.archive, archive.lineage, label=physical.label
            ).reach
        except BackupNotFound as error:
            why = str(error)
            continue
        arrived = archive.archive.arrived(found.last)
        stopped = found.stopped_by.name(stanza.segment_bytes) if found.stopped_by else None
        return Recoverable(arrived or backup.manifest.snapshot_at, backup, stopped)
    raise BackupNotFound(f"{where} rolls no backup forward: {why}")
