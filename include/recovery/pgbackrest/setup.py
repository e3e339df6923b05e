"""Physical protection of a source's cluster, set up: passes, configuration, stanza, archiving, and whether WAL arrives.

Everything here runs on the database's host, as the server's operating-system user, and may run again at any time: what
is right already stays as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.errors import SourceError
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.backup import ensure_stanza
from include.recovery.pgbackrest.cluster import Cluster, Prepared, ask_cluster, prepare_archive
from include.recovery.pgbackrest.configuration import archive_command
from include.recovery.pgbackrest.stanza import open_stanza, physical_of_policy
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.server import PostgresServer

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


@dataclass(frozen=True)
class Protection:
    """What ``protect_cluster`` did.

    :param stores: whose repositories hold the cluster, by pgBackRest's numbers from 1.
    :param stanza_made: whether a repository had none yet.
    :param archive: the server's settings.
    :param arrived: the newest WAL segment in each store's repository; empty while a restart is missing.
    """

    stanza: str
    stores: tuple[str, ...]
    stanza_made: bool
    archive: Prepared
    arrived: dict[str, str]

    @property
    def needs_restart(self) -> bool:
        """Whether nothing is archived before the server was restarted."""
        return bool(self.archive.restart_for)

    @property
    def in_words(self) -> str:
        """For people."""
        made = f"stanza {self.stanza} {'made' if self.stanza_made else 'found'} in {', '.join(self.stores)}"
        told = f"{made}; {self.archive.in_words}"
        if not self.arrived:
            return told
        return f"{told}; WAL arrived: " + ", ".join(f"{segment} in {store}" for store, segment in self.arrived.items())


def protect_cluster(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    *,
    restart: Callable[[], object] | None = None,
    stop: threading.Event | None = None,
) -> Protection:
    """Make a source's cluster archive its WAL to every repository that the policy names, and see that it arrives.

    :param restart: restarts the server, when a setting needs that; None leaves it to people: then nothing is archived,
        and nothing checked, until the server was restarted and this has run again.
    :raises PolicyError: when the policy does not protect the source's cluster.
    :raises SourceError: when this is not the cluster's host, the server is a standby, or something else decides about a
        setting.
    :raises KeyUnavailable: when a repository exists and its pass is lost; a new one could not read what is there.
    :raises SourceUnavailable, StoreUnavailable, StoreError, WrongKey: when the server or a store is of no use.
    """
    physical_of_policy(system, source)
    server = workspace.cluster(source)
    _must_be_here(ask_cluster(server), server)
    stanza = open_stanza(workspace, system, source, create=True)
    tool = stanza.tool
    # The stanza comes first: a server that archives without one would fail, and its WAL would pile up.
    made = ensure_stanza(tool, stop=stop)
    assert source.wal is not None  # rule of the policy: physical and wal go together
    command, timeout = archive_command(stanza.configuration), source.wal.archive_timeout
    prepared = prepare_archive(server, command, timeout)
    if prepared.restart_for and restart is not None:
        restart()
        again = prepare_archive(server, command, timeout)
        prepared = Prepared(prepared.changed, again.restart_for)
    arrived = {} if prepared.restart_for else _wal_arrives(tool, stanza.stores, stop)
    return Protection(stanza.configuration.stanza, stanza.stores, made, prepared, arrived)


def _must_be_here(cluster: Cluster, server: PostgresServer) -> None:
    if cluster.in_recovery:
        raise SourceError(
            f"{server.redacted}: this server is a standby, and the primary archives; name the primary in "
            "physical.connection"
        )
    if not os.access(Path(cluster.data_directory) / "PG_VERSION", os.R_OK):
        raise SourceError(
            f"{server.redacted}: its data directory {cluster.data_directory} cannot be read here, and pgBackRest reads "
            "the files themselves; run this on the database's host as the server's operating-system user"
        )


def _wal_arrives(tool: PgBackRest, stores: tuple[str, ...], stop: threading.Event | None) -> dict[str, str]:
    """Close a segment and wait until every repository has it; the newest segment in each.

    :raises SourceError, StoreUnavailable, StoreError: what keeps it away.
    """
    tool.run(commands.check(tool.call), "the check that WAL arrives in every repository", stop=stop)
    info = tool.info()
    arrived = {}
    for number, store in enumerate(stores, 1):
        archive = info.archive(number)
        if archive is None or archive.last is None:
            raise SourceError(
                f"stanza {tool.stanza}: pgBackRest's check passed, and the repository in {store} holds no WAL; see "
                "pgBackRest's log beside its configuration"
            )
        arrived[store] = archive.last
    return arrived
