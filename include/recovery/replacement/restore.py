"""The new cluster beside the old one: restored from the repository, recovered to its target, open to nobody but us.

It recovers behind a private socket and archives nothing yet: WAL of its new timeline waits in its own ``pg_wal``. Were
it to archive at once, a recovery that ended too early would have branched the archive before anybody had looked at it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from include.recovery.errors import Refused, SourceUnavailable
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.pgbackrest.configuration import Configuration
from include.recovery.pgbackrest.restore import free_for_restore, recover, restore_cluster
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, Segment
from include.recovery.pgbackrest.target import Target
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.replacement.found import control_file, directory_id, tablespaces
from include.recovery.replacement.place import RECOVERED, Place

if TYPE_CHECKING:
    from include.recovery.postgres.server import PostgresServer

# With archive_mode on and no command, PostgreSQL keeps every finished segment and history file until it has one.
PAUSED_ARCHIVING = {"archive_mode": "on", "archive_command": ""}


@dataclass(frozen=True)
class Origin:
    """What the new cluster is made of.

    :param configuration: of the stanza, with the repository that is read.
    :param repository: pgBackRest's number of it.
    :param label: of the backup to begin with; ``choose`` has found that it reaches the target.
    :param system_identifier: of the backup's cluster.
    :param size: bytes of the backup's cluster.
    :param major: of the server's version; ``superuser`` of it.
    :param at_least: the last segment that the archive has in sequence.
    """

    configuration: Configuration
    repository: int
    label: str
    target: Target
    system_identifier: str
    size: int
    major: int
    superuser: str
    at_least: Segment | None = None
    segment_bytes: int = SEGMENT_BYTES


@dataclass(frozen=True)
class Ready:
    """A new cluster that has recovered and waits to take the old one's place.

    :param lsn: until where the log was replayed.
    :param at: of the last replayed commit; None when none was replayed.
    :param timeline: the new one.
    :param copy_seconds: that copying took, ``recover_seconds`` that the log took.
    """

    place: Place
    label: str
    lsn: str | None
    at: datetime | None
    timeline: int
    copy_seconds: float
    recover_seconds: float

    @property
    def seconds(self) -> float:
        """Until it took connections."""
        return round(self.copy_seconds + self.recover_seconds, 3)


def restore_beside(
    place: Place,
    origin: Origin,
    *,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    wait: float = 86400,
) -> Ready:
    """Restore and recover the new cluster, or return the one that an earlier try has finished.

    :param wait: seconds for the recovery.
    :raises Refused: when it does not fit beside the old one, is of another cluster, or has tablespaces.
    :raises BackupNotFound, BackupCorrupt, StoreUnavailable, WrongKey: as ``restore_cluster`` and ``recover``.
    """
    with place.locked():
        done = ready(place)
        if done is not None:
            return done
        place.require_room(origin.size)
        copied = restore_cluster(
            origin.configuration, place.work, origin.target, label=origin.label, repository=origin.repository,
            delta=free_for_restore(place.work), keep_archiving=True, progress=progress, stop=stop,
        )
        _must_fit(place, origin)
        recovered = recover(
            place.work, origin.target, major=origin.major, superuser=origin.superuser, at_least=origin.at_least,
            segment_bytes=origin.segment_bytes, profile="stock", settings=PAUSED_ARCHIVING, wait=wait,
        )
        place.mark(
            RECOVERED, directory_id=directory_id(place.new), label=origin.label, lsn=recovered.lsn,
            at=recovered.at.isoformat() if recovered.at else None, timeline=recovered.timeline,
            copy_seconds=copied.seconds, recover_seconds=recovered.seconds, major=origin.major,
            superuser=origin.superuser,
        )  # fmt: skip
        done = ready(place)
        assert done is not None
        return done


def ready(place: Place) -> Ready | None:
    """The new cluster, when it has recovered; None when it has not yet."""
    noted = place.done(RECOVERED)
    if noted is None:
        return None
    return Ready(
        place, noted["label"], noted["lsn"], datetime.fromisoformat(noted["at"]) if noted["at"] else None,
        noted["timeline"], noted["copy_seconds"], noted["recover_seconds"],
    )


def open_privately(place: Place, database: str = "postgres") -> PostgresServer:
    """The new cluster behind its private socket, to be compared; started again when it has been stopped.

    :raises SourceUnavailable: when it has taken its place already, or was never restored.
    """
    noted = place.done(RECOVERED)
    if noted is None or not place.new.is_dir():
        where = "has taken its place already" if place.in_place else "is not there yet; restore it first"
        raise SourceUnavailable(f"the restored cluster in {place.work} {where}")
    return ScratchServer.start_restored(
        place.work, "stock", major=noted["major"], superuser=noted["superuser"], settings=PAUSED_ARCHIVING
    ).server(database)


def _must_fit(place: Place, origin: Origin) -> None:
    found = control_file(place.new)
    identifier = found.system_identifier if found else "none that can be read"
    if identifier != origin.system_identifier:
        raise Refused(
            f"backup {origin.label} was to be of system {origin.system_identifier}, and what was restored has "
            f"{identifier}; the cluster was not touched: compare the catalog with the repository"
        )
    outside = tablespaces(place.new)
    if outside:
        raise Refused(
            f"the cluster in backup {origin.label} has {len(outside)} tablespaces outside its data directory, which "
            "would be in the folder of the old ones; the cluster was not touched: restore it by hand with pgbackrest "
            "--tablespace-map, or move its tables to the default tablespace before the next backup"
        )
