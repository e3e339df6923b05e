"""Where a cluster is replaced: on its own host, or, in a rehearsal, a stand-in that is replaced in the very same way.

The stand-in is a server with nonsense in it, in a scratch folder, with its own way of being started and stopped:

    <folder>/cluster       its data directory, which is replaced
    <folder>/repository    where it archives once it is replaced: never to the original's
    <folder>/stand-in.json what it was made as
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.recovery.errors import PolicyError, SourceUnavailable
from include.recovery.pgbackrest import workplace
from include.recovery.pgbackrest.configuration import (
    ClusterPlace,
    Configuration,
    FolderRepository,
    Folders,
    archive_command,
)
from include.recovery.pgbackrest.stanza import open_stanza
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres import commands
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.scratch_process import socket_directory
from include.recovery.postgres.scratch_settings import ALONE, PORT
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import find
from include.recovery.processes import run_tool
from include.recovery.replacement.control import ServerControl
from include.recovery.replacement.found import control_file
from include.recovery.runbook.cluster_interlock import ScratchCluster

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

_RECORD = "stand-in.json"
_NONSENSE = "CREATE TABLE public.damaged_by_rehearsal AS SELECT n, md5(n::text) FROM generate_series(1, 1000) AS n"
_SECONDS = 60


@dataclass(frozen=True)
class Site:
    """One cluster's place, as its replacement has to know it.

    :param server: as clients reach it, logged in as the superuser.
    :param scratch: of a rehearsal's stand-in; None for a live cluster.
    """

    control: ServerControl
    server: PostgresServer
    scratch: ScratchCluster | None = None

    def archive(
        self, workspace: Workspace, system: ProtectedSystem, source: PostgresSource
    ) -> tuple[PgBackRest, tuple[int, ...]]:
        """What the server archives with, and the numbers of the repositories that WAL must reach; it has to run."""
        if self.scratch is not None:
            configuration = _archive_of(Path(self.scratch.folder), system.stanza(source), self.server)
            workplace.prepare(configuration)
            return PgBackRest.of(configuration), (1,)
        stanza = open_stanza(workspace, system, source)
        return stanza.tool, tuple(range(1, len(stanza.stores) + 1))


def live_site(workspace: Workspace, source: PostgresSource) -> Site:
    """The cluster that people use.

    :raises PolicyError: when its connection does not say how to stop and start it.
    """
    physical = source.physical
    if physical is None:
        raise PolicyError([f"source {source.name!r} has no 'physical' block, so its cluster cannot be replaced"])
    control = ServerControl.from_connection(workspace.connections(physical.connection))
    return Site(control, workspace.cluster(source))


def build_stand_in(folder: Path, stanza: str, *, superuser: str, major: int) -> Site:
    """Make a stand-in; made twice, it is made anew.

    :param folder: of this run and source alone; all of it is removed first.
    :param superuser: of the live cluster, which the restored one has too.
    """
    place = folder.absolute()
    ScratchServer.remove(place)
    place.mkdir(mode=0o700, parents=True)
    tools, data = find(major, tool="postgres"), place / "cluster"
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(place)}
    run_tool(commands.init_cluster(tools, str(data), superuser=superuser), env=env)
    known = control_file(data)
    if known is None:
        raise SourceUnavailable(f"the stand-in's control file in {data} cannot be read; see the free disk space")
    for name, text in {"postgresql.conf": "", "pg_ident.conf": "", "pg_hba.conf": "local all all trust\n"}.items():
        (place / name).write_text(text, encoding="utf-8")
    server = PostgresServer(host=socket_directory(place), port=PORT, user=superuser)
    configuration = _archive_of(place, stanza, server)
    workplace.prepare(configuration)
    settings = {
        **ALONE,
        "data_directory": str(data),
        "config_file": str(place / "postgresql.conf"),
        "hba_file": str(place / "pg_hba.conf"),
        "ident_file": str(place / "pg_ident.conf"),
        "unix_socket_directories": server.host,
        "port": str(PORT),
        "archive_mode": "on",
        # On the command line, where nothing that is restored can win over it.
        "archive_command": archive_command(configuration),
    }
    record = {
        "scratch": asdict(ScratchCluster(str(place), known.system_identifier)),
        "server": {"host": server.host, "port": PORT, "user": superuser},
        "control": {
            "data_directory": str(data),
            "stop": commands.stop_cluster(tools, str(data), mode="fast", wait=_SECONDS),
            "start": commands.start_cluster(
                tools, str(data), str(place / "server.log"), wait=_SECONDS, settings=settings
            ),
        },
    }
    (place / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    site = _site(record)
    site.control.start(site.server)
    with site.server.connect() as connection:
        connection.execute(_NONSENSE)
    return site


def stand_in(folder: Path) -> Site:
    """The stand-in of a rehearsal.

    :raises SourceUnavailable: when there is none in the folder (any more).
    """
    try:
        return _site(json.loads((folder.absolute() / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SourceUnavailable(
            f"there is no stand-in in {folder} (any more); clear the rehearsal from stage on"
        ) from error


def _site(record: Mapping[str, Any]) -> Site:
    extra = record["control"]
    control = ServerControl(
        "of the stand-in", Path(extra["data_directory"]), tuple(extra["stop"]), tuple(extra["start"])
    )
    return Site(control, PostgresServer(**record["server"]), ScratchCluster(**record["scratch"]))


def _archive_of(place: Path, stanza: str, server: PostgresServer) -> Configuration:
    return Configuration(
        stanza,
        ClusterPlace(str(place / "cluster"), server.port, server.host, server.user),
        [FolderRepository(1, str(place / "repository"))],
        Folders(place / "archive"),
    )
