"""A cluster restored into a scratch folder, and started there behind a private socket.

    <directory>/data         the cluster
    <directory>/pgbackrest   a configuration of its own: locks and queue must not be the original's
    <directory>/tablespaces  all tablespaces

The copy never writes to the original's archive: archiving is off in it. ``ScratchServer`` finds, stops and removes it.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic

import psycopg

from include.recovery.errors import BackupCorrupt, BackupNotFound, LifeboatError, Refused, SourceUnavailable
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.pgbackrest import commands, workplace
from include.recovery.pgbackrest.backup import reporter
from include.recovery.pgbackrest.configuration import ClusterPlace, Configuration, Folders
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, Segment, lsn_of, position_of
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.postgres.scratch import Profile, ScratchServer
from include.recovery.postgres.server import PostgresServer

_BEFORE_TARGET = "recovery ended before configured recovery target was reached"
_BEFORE_BACKUP = "requested recovery stop point is before consistent recovery point"
_OTHER_TIMELINE = ("is not a child of this server's history", "recovery target timeline")
_BROKEN = ("WAL ends before end of online backup", "WAL ends before consistent recovery point",
           "could not locate required checkpoint record", "could not locate a valid checkpoint record")
_SIGNS = ("PG_VERSION", "backup.manifest")
"""Of a cluster, whole or half restored; pgBackRest asks for one of them before it does ``--delta``."""
_REACHED = """
    SELECT pg_catalog.pg_last_wal_replay_lsn()::text, pg_catalog.pg_last_xact_replay_timestamp(),
           (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), pg_catalog.pg_is_in_recovery()
"""


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did.

    :param label: the backup that was copied.
    :param seconds: that copying took.
    :param data: the restored cluster's folder.
    """

    label: str
    repository: int
    target: Target
    seconds: float
    data: Path
    delta: bool


@dataclass(frozen=True)
class Recovered:
    """A restored cluster that has recovered and takes connections.

    :param seconds: from its start until then.
    :param lsn: until where the log was replayed.
    :param at: of the last replayed commit; None when none was replayed.
    :param timeline: a new one, on which it went on.
    """

    server: ScratchServer
    seconds: float
    lsn: str | None
    at: datetime | None
    timeline: int


@dataclass(frozen=True)
class Restored:
    """A cluster that was restored, has recovered and takes connections.

    :param copied: the copying of the files.
    :param recovered: the replay of the log, with the running server.
    :param skipped: newer backups that could not be used, each with its reason.
    """

    copied: RestoreReport
    recovered: Recovered
    skipped: tuple[str, ...] = ()

    @property
    def server(self) -> ScratchServer:
        """The running copy."""
        return self.recovered.server

    @property
    def seconds(self) -> float:
        """Until it took connections."""
        return round(self.copied.seconds + self.recovered.seconds, 3)


def configuration_of_copy(configuration: Configuration, directory: Path) -> Configuration:
    """The configuration for a copy in a scratch folder: the same repositories, another cluster, folders of its own."""
    return replace(
        configuration,
        cluster=ClusterPlace(str(directory / "data")),
        folders=Folders(directory / "pgbackrest"),
        options=replace(configuration.options, from_standby=False),
        standby=None,
    )


def is_begun(directory: Path) -> bool:
    """Whether an earlier try has left something in a scratch folder with which a delta restore can begin."""
    return any((directory / "data" / name).exists() for name in _SIGNS)


def free_for_restore(directory: Path) -> bool:
    """End the server in a scratch folder, and remove what no delta restore can begin with.

    A try that was killed early, or met a damaged file first, leaves a folder that is neither empty nor a cluster:
    pgBackRest refuses that with ``--delta`` and without.

    :return: whether a delta restore can begin with what is there.
    """
    ScratchServer.end(directory)
    # What fetched WAL ahead for that server still tidies its queue, which the next restore empties too.
    workplace.end_processes(Folders(directory.absolute() / "pgbackrest"))
    begun = is_begun(directory)
    if not begun:
        for folder in ("data", "tablespaces"):
            shutil.rmtree(directory / folder, ignore_errors=True)
    return begun


def restore_cluster(
    configuration: Configuration,
    directory: Path,
    target: Target,
    *,
    label: str,
    repository: int,
    delta: bool = False,
    databases: Sequence[str] = (),
    standby: bool = False,
    keep_archiving: bool = False,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    program: str = commands.PROGRAM,
) -> RestoreReport:
    """Copy a backup into a scratch folder, ready to recover to a target.

    :param configuration: the original's.
    :param directory: of the scratch server; must not hold a cluster, unless ``delta`` uses what is there.
    :param label: of the backup to begin with; ``choose`` finds it.
    :param databases: only these get their rows; the others come back as empty husks that nobody can log in to.
    :param standby: as a standby that replays the archive and never opens; ``replay`` starts it.
    :param keep_archiving: leave the original's archiving as it is, for a copy that becomes the original; whoever opens
        it must not let it archive before that.
    :raises Refused: when the folder is the original's, holds a running server, or is not empty.
    :raises BackupCorrupt, StoreUnavailable, WrongKey: see ``failures``.
    """
    place = directory.absolute()
    copy = configuration_of_copy(configuration, place)
    data, began = Path(copy.cluster.data), monotonic()
    original = Path(configuration.cluster.data)
    if configuration.cluster.host is None and data.resolve() == original.resolve():
        raise Refused(f"{data} is the data directory of the original; restore beside it, to a scratch folder")
    for folder in (place, data, place / "tablespaces"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    workplace.prepare(copy)
    tool = PgBackRest.of(copy, program=program)
    fetch = workplace.write_program(copy.folders.root / "fetch-wal", commands.fetch_script(tool.call))
    argv = commands.restore(
        tool.call, target, repository, label=label, delta=delta, databases=databases,
        tablespaces=str(place / "tablespaces"), standby=standby, keep_archiving=keep_archiving, fetch=str(fetch),
    )
    tool.outcome(
        argv, f"restoring {label} from repository {repository} to {target.in_words}", stop=stop,
        on_line=reporter(progress),
    )
    return RestoreReport(label, repository, target, round(monotonic() - began, 3), data, delta)


def recover(
    directory: Path,
    target: Target,
    *,
    major: int,
    superuser: str,
    at_least: Segment | None = None,
    segment_bytes: int = SEGMENT_BYTES,
    profile: Profile = "drill",
    settings: Mapping[str, str] | None = None,
    wait: float = 3600,
) -> Recovered:
    """Start a restored cluster, let it recover to its target, and open it.

    :param superuser: of the original.
    :param at_least: the last segment that the archive has in sequence. PostgreSQL takes every failure to fetch a
        segment for the end of the log and opens: with the newest state as target, only this tells a store that went
        away from the true end.
    :param wait: seconds.
    :raises BackupNotFound: when the log ends before the target.
    :raises BackupCorrupt: when what is restored cannot become consistent, or ends before ``at_least``.
    """
    began = monotonic()
    try:
        server = ScratchServer.start_restored(
            directory, profile, major=major, superuser=superuser, settings=settings, wait=wait
        )
    except SourceUnavailable:
        raise
    except LifeboatError as error:
        raise meaning_of_recovery(str(error), target) from error
    with server.server().connect() as connection:
        row = connection.execute(_REACHED).fetchone()
    assert row is not None
    lsn, at, timeline, _ = row
    if at_least is not None and target.kind == "newest":
        reached = 0 if lsn is None else position_of(lsn)
        # With nothing but what came before replayed, the log ends exactly where the segment would begin.
        if reached <= at_least.start(segment_bytes):
            server.halt()
            raise BackupCorrupt(
                f"recovery in {directory} ended at LSN {lsn_of(reached)}, and the archive has WAL until segment "
                f"{at_least.name(segment_bytes)}: a segment could not be fetched; see server.log there, and do not use "
                "this copy"
            )
    return Recovered(server, round(monotonic() - began, 3), lsn, at, timeline)


def unusable_databases(server: ScratchServer, names: Sequence[str]) -> tuple[str, ...]:
    """Which databases of a restored cluster cannot be logged in to and read, each in a sentence."""
    return closed_databases(server.server(), names)


def closed_databases(server: PostgresServer, names: Sequence[str]) -> tuple[str, ...]:
    """The same of a server that is reached in another way.

    :param server: as a superuser.
    """
    failures = []
    for name in names:
        try:
            with server.with_database(name).connect() as connection:
                connection.execute("SELECT pg_catalog.count(*) FROM pg_catalog.pg_class")
        except (LifeboatError, psycopg.Error) as error:
            failures.append(f"database {name} of the restored cluster cannot be used: {error}")
    return tuple(failures)


def meaning_of_recovery(said: str, target: Target) -> LifeboatError:
    """The error for a recovery that ended a server."""
    if _BEFORE_TARGET in said:
        return BackupNotFound(
            f"the archived WAL ends before {target.in_words}; choose an earlier target or newest, and see which WAL is "
            f"missing (`lifeboat wal`): {_fatal(said)}"
        )
    if _BEFORE_BACKUP in said:
        return BackupNotFound(
            f"{target.in_words} lies before the moment from which this backup is consistent; begin with an older "
            "backup, or choose a later target"
        )
    if any(words in said for words in _OTHER_TIMELINE):
        return BackupNotFound(
            f"{target.in_words} is on a timeline that this backup does not lead to; name the timeline, or begin with a "
            f"backup of it: {_fatal(said)}"
        )
    if any(words in said for words in _BROKEN):
        return BackupCorrupt(
            f"the restored cluster cannot become consistent, WAL that its backup needs is missing: {_fatal(said)}; use "
            "another backup or repository"
        )
    return LifeboatError(said)


def _fatal(said: str) -> str:
    """The log's own last reason, in short."""
    found = re.findall(r"(?:FATAL|PANIC):\s+(.*?)(?= \d{4}-\d\d-\d\d |$)", said)
    return found[0][:200] if found else said[-200:]
