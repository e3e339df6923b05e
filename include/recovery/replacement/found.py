"""What is at the place of a cluster, also when its server is down, damaged or gone: read from its files first."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from include.recovery.errors import InsufficientRights, LifeboatError, Refused, SourceUnavailable, ToolFailed
from include.recovery.pgbackrest.cluster import Cluster, ask_cluster
from include.recovery.pgbackrest.segments import SEGMENT_BYTES
from include.recovery.postgres import commands
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import find
from include.recovery.processes import Crew
from include.recovery.replacement.control import ServerControl
from include.recovery.runbook.cluster_target import ClusterFacts, ClusterSession

_OLDEST = 10
_SESSIONS = """
    SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(client_addr::text, 'socket'),
           coalesce(state, ''), coalesce(datname, '')
      FROM pg_catalog.pg_stat_activity
     WHERE pid <> pg_catalog.pg_backend_pid() AND backend_type IN ('client backend', 'walsender') ORDER BY pid
"""


@dataclass(frozen=True)
class ControlFile:
    """What ``pg_control`` says of a cluster.

    :param state: such as ``in production`` or ``shut down``.
    """

    system_identifier: str
    state: str
    segment_bytes: int = SEGMENT_BYTES


def find_cluster(control: ServerControl, server: PostgresServer, *, now: datetime) -> ClusterFacts:
    """Look at a cluster, before it may be replaced.

    :param server: as a superuser over its connection; it need not answer.
    :raises Refused: when the server that answers works in another directory than the connection's extra says.
    :raises InsufficientRights: when the directory belongs to another operating-system user.
    """
    data = Path(os.path.realpath(control.data))
    _must_be_ours(data)
    answering = _ask(server)
    there = directory_id(data)
    known = control_file(data) if there else None
    if answering is not None:
        _must_be_one(control, data, known, answering, server)
    return ClusterFacts(
        host=os.uname().nodename,
        port=server.port,
        data_directory=str(data),
        directory_id=there,
        system_identifier=known.system_identifier if known else "",
        state=known.state if known else "",
        version=_version(data),
        running=bool(control.processes()),
        answers=answering is not None,
        size=sum(size for size, _ in _files(data)),
        databases=answering.databases if answering else (),
        last_write=_last_write(data),
        unarchived=sum(1 for _ in (data / "pg_wal" / "archive_status").glob("*.ready")),
        tablespaces=tablespaces(data),
        sessions=_sessions(server) if answering else (),
        taken_at=now,
    )


def control_file(data: Path) -> ControlFile | None:
    """What a cluster's ``pg_control`` says; None when it is gone, or fails its own checksum."""
    try:
        tools = find(_major(data), tool="pg_controldata")
        with (
            Crew(threading.Event()) as crew,
            crew.child(
                commands.control_data(tools, str(data)), env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, stdout="pipe"
            ) as child,
        ):
            said = child.stdout.read().decode("utf-8", "replace")
            child.wait()
            doubt = "does not match" in child.stderr or "does not match" in said
    except ToolFailed:
        return None
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}
    identifier = lines.get("Database system identifier", "")
    if doubt or not identifier.isdecimal() or identifier == "0":
        return None
    segment = lines.get("Bytes per WAL segment", "")
    return ControlFile(
        identifier, lines.get("Database cluster state", ""), int(segment) if segment.isdecimal() else SEGMENT_BYTES
    )


def directory_id(path: Path) -> str:
    """Inode of a directory, which neither a rename nor a restart of the host changes; empty when there is none."""
    try:
        return str(path.stat().st_ino)
    except FileNotFoundError:
        return ""


def tablespaces(data: Path) -> tuple[str, ...]:
    """Where the tablespaces outside a data directory are."""
    folder = data / "pg_tblspc"
    if not folder.is_dir():
        return ()
    return tuple(sorted(os.path.realpath(entry) for entry in folder.iterdir()))


def _must_be_ours(data: Path) -> None:
    place = data if data.exists() else data.parent
    try:
        owner = place.stat().st_uid
    except OSError as error:
        raise InsufficientRights(
            f"{place} cannot be looked at on {os.uname().nodename} ({error.strerror}): a cluster is replaced on its "
            "own host, as the server's operating-system user; run Lifeboat's worker there"
        ) from error
    if owner != os.geteuid():
        raise InsufficientRights(
            f"{place} belongs to user id {owner}, and this runs as {os.geteuid()}; run Lifeboat's worker as the "
            "server's operating-system user"
        )


def _must_be_one(
    control: ServerControl, data: Path, known: ControlFile | None, answering: Cluster, server: PostgresServer
) -> None:
    """The server that answers must be the one whose directory this is, or stopping one would leave the other."""
    works_in = os.path.realpath(answering.data_directory)
    if works_in != str(data):
        raise Refused(
            f"{server.redacted} works in {works_in}, and extra.data_directory of connection {control.connection} says "
            f"{data}: one of them is another cluster's; correct the connection"
        )
    if known is not None and known.system_identifier != answering.system_identifier:
        raise Refused(
            f"{server.redacted} says that its system identifier is {answering.system_identifier}, and pg_control in "
            f"{data} says {known.system_identifier}: the directory was changed under the running server; find out by "
            "whom before replacing anything"
        )


def _ask(server: PostgresServer) -> Cluster | None:
    """What the server says; nothing when it does not answer or cannot even read its own catalog."""
    try:
        return ask_cluster(server)
    except LifeboatError:
        return None


def _sessions(server: PostgresServer) -> tuple[ClusterSession, ...]:
    try:
        with server.connect() as connection:
            rows = connection.execute(_SESSIONS).fetchall()
    except SourceUnavailable:
        # It went away between two questions; whoever looks next finds it down.
        return ()
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "asking who uses it") from error
    names = ("pid", "user", "application", "client", "state", "database")
    return tuple(ClusterSession(**dict(zip(names, row, strict=True))) for row in rows)


def _version(data: Path) -> str:
    try:
        return (data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _major(data: Path) -> int:
    version = _version(data)
    return int(version) if version.isdecimal() else _OLDEST


def _last_write(data: Path) -> datetime | None:
    times = [at for _, at in _files(data / "pg_wal")]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _files(folder: Path) -> Iterator[tuple[int, float]]:
    """Size and time of each file below a folder; a running server removes some meanwhile."""
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = Path(place, name).lstat()
            except FileNotFoundError:
                continue
            yield found.st_size, found.st_mtime
