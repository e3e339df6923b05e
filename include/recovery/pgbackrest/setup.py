"""Physical protection of a source's cluster, set up: passes, configuration, stanza, archiving, and whether WAL arrives.

Everything here runs on the database's host, as the server's operating-system user, and may run again at any time: what
is right already stays as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.catalog.numbered import Numbered
from include.recovery.errors import KeyUnavailable, PolicyError, SourceError
from include.recovery.pgbackrest import commands, workplace
from include.recovery.pgbackrest.backup import ensure_stanza
from include.recovery.pgbackrest.cipher import cipher_pass, cipher_prefix
from include.recovery.pgbackrest.cluster import Cluster, Prepared, ask_cluster, prepare_archive
from include.recovery.pgbackrest.configuration import (
    ClusterPlace,
    Configuration,
    FolderRepository,
    Folders,
    Options,
    Repository,
    S3Repository,
    archive_command,
)
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.policy.models import PhysicalOptions, PostgresSource, ProtectedSystem, StoreDefinition
from include.recovery.postgres.server import PostgresServer
from include.recovery.stores.folder import FolderStore
from include.recovery.stores.s3 import S3Store

if TYPE_CHECKING:
    from include.recovery.stores.port import ObjectStore
    from include.recovery.workspace import Workspace

HOME_VARIABLE = "LIFEBOAT_PGBACKREST"
REPOSITORY_PATH = "pgbackrest"
"""Prefix of a repository within its bucket or folder."""

_LEAST_ARCHIVE_WAIT = 60
_MOST_PUSH_PROCESSES = 2


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


def pgbackrest_home() -> Path:
    """Where each stanza has its folder: ``LIFEBOAT_PGBACKREST``, or a folder of the lab's directory."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named)
    lifeboat = os.environ.get("LIFEBOAT_HOME") or Path.home() / ".local/share/lifeboat"
    return Path(lifeboat) / "lab" / "pgbackrest"


def protect_cluster(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    *,
    home: Path | None = None,
    restart: Callable[[], object] | None = None,
    stop: threading.Event | None = None,
) -> Protection:
    """Make a source's cluster archive its WAL to every repository that the policy names, and see that it arrives.

    :param home: where the stanza's folder is; None for ``pgbackrest_home()``.
    :param restart: restarts the server, when a setting needs that; None leaves it to people: then nothing is archived,
        and nothing checked, until the server was restarted and this has run again.
    :raises PolicyError: when the policy does not protect the source's cluster.
    :raises SourceError: when this is not the cluster's host, the server is a standby, or something else decides about a
        setting.
    :raises KeyUnavailable: when a repository exists and its pass is lost; a new one could not read what is there.
    :raises SourceUnavailable, StoreUnavailable, StoreError, WrongKey: when the server or a store is of no use.
    """
    physical = _physical(system, source)
    server = PostgresServer.from_connection(workspace.connections(physical.connection), database="postgres")
    cluster = ask_cluster(server)
    _must_be_here(cluster, server)
    configuration = configuration_of(workspace, system, source, cluster=cluster, home=home, new_passes=True)
    workplace.prepare(configuration)
    tool = PgBackRest.of(configuration)
    # The stanza comes first: a server that archives without one would fail, and its WAL would pile up.
    made = ensure_stanza(tool, stop=stop)
    assert source.wal is not None  # rule of the policy: physical and wal go together
    command, timeout = archive_command(configuration), source.wal.archive_timeout
    prepared = prepare_archive(server, command, timeout)
    if prepared.restart_for and restart is not None:
        restart()
        again = prepare_archive(server, command, timeout)
        prepared = Prepared(prepared.changed, again.restart_for)
    stores = system.repository_stores(source)
    arrived = {} if prepared.restart_for else _wal_arrives(tool, stores, stop)
    return Protection(configuration.stanza, stores, made, prepared, arrived)


def configuration_of(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    *,
    cluster: Cluster | None = None,
    home: Path | None = None,
    new_passes: bool = False,
) -> Configuration:
    """The configuration of a source's stanza, the same for whoever asks: WAL push, backups, checks.

    :param cluster: as the server described itself; None asks it.
    :param home: where the stanza's folder is; None for ``pgbackrest_home()``.
    :param new_passes: make the pass of a repository that has none and holds nothing of the stanza yet.
    :raises PolicyError, KeyUnavailable, SourceUnavailable: as ``protect_cluster``.
    """
    physical = _physical(system, source)
    if cluster is None:
        cluster = ask_cluster(PostgresServer.from_connection(workspace.connections(physical.connection)))
    stanza = system.stanza(source)
    repositories = [
        _repository(workspace, system, source, number, store, new_pass=new_passes)
        for number, store in enumerate(system.repository_stores(source), 1)
    ]
    return Configuration(
        stanza=stanza,
        cluster=cluster.place,
        repositories=repositories,
        folders=Folders((home or pgbackrest_home()) / stanza),
        options=options_of(source),
        standby=_standby(workspace, physical) if physical.backup_from == "standby" else None,
    )


def options_of(source: PostgresSource, *, cores: int | None = None) -> Options:
    """How backups of a source are made, by its policy.

    :param cores: of this host; None counts them.
    """
    physical, wal = source.physical, source.wal
    if physical is None or wal is None:
        raise PolicyError([f"source {source.name!r} has no 'physical' block; its cluster is not backed up"])
    processes = physical.process_max or cores or os.cpu_count() or 1
    return Options(
        process_max=processes,
        push_processes=min(processes, _MOST_PUSH_PROCESSES),
        compress_type=physical.compress.type,
        compress_level=physical.compress.level,
        queue_max=physical.queue_max,
        archive_wait=max(_LEAST_ARCHIVE_WAIT, int(wal.push_allowance.total_seconds())),
        from_standby=physical.backup_from == "standby",
    )


def _physical(system: ProtectedSystem, source: PostgresSource) -> PhysicalOptions:
    if source.physical is not None:
        return source.physical
    protected = [each.name for each in system.sources if each.physical is not None]
    raise PolicyError(
        [
            f"{system.system}.yaml: source {source.name!r} has no 'physical' block, so its cluster is not archived; "
            + (f"those with one are {', '.join(protected)}" if protected else "add the block and 'wal'")
        ]
    )


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


def _repository(
    workspace: Workspace, system: ProtectedSystem, source: PostgresSource, number: int, store: str, *, new_pass: bool
) -> Repository:
    """The repository in a store, by pgBackRest's number."""
    definition = workspace.policies.platform.stores[store]
    catalog = workspace.store(store)
    create = False
    if new_pass and Numbered(catalog, cipher_prefix(system.system, source.name)).newest() is None:
        stanza = system.stanza(source)
        held = _held(workspace, store, definition, stanza)
        if held is not None:
            raise KeyUnavailable(
                f"store {store} has no pass for the repository of {system.system}/{source.name}, and its repository "
                f"holds {held}; copy {cipher_prefix(system.system, source.name)} from a copy of the store, or move "
                f"the old repository away: a new pass cannot read it"
            )
        create = True
    secret = cipher_pass(catalog, workspace.keyring(), system.system, source.name, create=create)
    if definition.kind == "folder":
        return FolderRepository(number, str(definition.path / REPOSITORY_PATH), cipher_pass=secret)
    place = definition.repository_place
    connection = workspace.connections(place.connection)
    return S3Repository.from_connection(
        number, place.bucket, connection, cipher_pass=secret, path=f"/{REPOSITORY_PATH}"
    )


def _held(workspace: Workspace, name: str, definition: StoreDefinition, stanza: str) -> str | None:
    """A file of the stanza in a repository; None when the repository knows nothing of it."""
    repository: ObjectStore
    if definition.kind == "folder":
        repository = FolderStore(name, definition.path)
    else:
        place = definition.repository_place
        repository = S3Store.from_connection(name, place.bucket, workspace.connections(place.connection))
    for part in ("archive", "backup"):
        for info in repository.list(f"{REPOSITORY_PATH}/{part}/{stanza}/"):
            return info.key
    return None


def _standby(workspace: Workspace, physical: PhysicalOptions) -> ClusterPlace:
    """Where the hot standby is; one on another host is reached over ssh."""
    assert physical.standby is not None  # rule of the policy: who backs up from a standby names it
    connection = workspace.connections(physical.standby)
    place = ask_cluster(PostgresServer.from_connection(connection)).place
    here = not connection.host or connection.host.startswith("/")
    return place if here else replace(place, host=connection.host)


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
