"""From a policy to a stanza that can be worked with: cluster, repositories, folders, all of one source.

    <root>/<stanza>/                   the server's own: archive_command names the file here; backups and expiry share
                                       its lock
    <root>/<stanza>/reading/<store>/   for looking and restoring: one store alone, so that another's loss stops nothing

The root is ``LIFEBOAT_PGBACKREST``, or /var/lib/lifeboat/pgbackrest. It belongs to the server's operating-system user.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.catalog.numbered import Numbered
from include.recovery.errors import (
    InsufficientRights,
    KeyUnavailable,
    LifeboatError,
    PolicyError,
    Refused,
    SourceError,
    StoreUnavailable,
)
from include.recovery.pgbackrest import workplace
from include.recovery.pgbackrest.cipher import cipher_pass, cipher_prefix
from include.recovery.pgbackrest.cluster import Cluster, ask_cluster
from include.recovery.pgbackrest.commands import BackupType
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
from include.recovery.pgbackrest.segments import SEGMENT_BYTES
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.policy.models import PhysicalOptions, PostgresSource, ProtectedSystem, Tier
from include.recovery.stores.folder import FolderStore
from include.recovery.stores.s3 import S3Store

if TYPE_CHECKING:
    from include.recovery.stores.port import ObjectStore
    from include.recovery.workspace import Workspace

DEFAULT_ROOT = Path("/var/lib/lifeboat/pgbackrest")
REPOSITORY_PATH = "/pgbackrest"
"""Below a bucket; stanzas share it, each has folders of its own in it."""


_TYPES: Mapping[str, BackupType] = {"full": "full", "differential": "diff", "incremental": "incr"}


@dataclass(frozen=True)
class Stanza:
    """One source's pgBackRest, its file written.

    :param stores: that its repositories are in, in the order of their numbers.
    :param cluster: as the server described itself; None when it did not answer, and none of it was needed.
    """

    system: ProtectedSystem
    source: PostgresSource
    configuration: Configuration
    stores: tuple[str, ...]
    cluster: Cluster | None = None

    @property
    def tool(self) -> PgBackRest:
        """What runs it."""
        return PgBackRest.of(self.configuration)

    @property
    def segment_bytes(self) -> int:
        """Of the cluster's WAL; PostgreSQL's default when the server did not answer."""
        return self.cluster.wal_segment_bytes if self.cluster else SEGMENT_BYTES

    def number(self, store: str) -> int:
        """pgBackRest's number of a store's repository.

        :raises PolicyError: when no physical tier of the source names the store.
        """
        return repository_number(self.system, self.source, store)


def root() -> Path:
    """Where the folders of all stanzas are."""
    return Path(os.environ.get("LIFEBOAT_PGBACKREST") or DEFAULT_ROOT)


def folders_of(system: ProtectedSystem, source: PostgresSource) -> Folders:
    """The folders of a stanza; the server's archive_command names the file in there."""
    return Folders(root() / system.stanza(source))


def physical_of_policy(system: ProtectedSystem, source: PostgresSource) -> PhysicalOptions:
    """How a source's cluster is protected.

    :raises PolicyError: when the policy does not say.
    """
    if source.physical is None:
        raise PolicyError(
            [f"{system.system}.yaml: source {source.name!r} has no 'physical' block, so pgBackRest cannot protect its "
             "cluster; add the block, or use tiers of method 'logical'"]
        )
    return source.physical


def repository_number(system: ProtectedSystem, source: PostgresSource, store: str) -> int:
    """pgBackRest's number of the repository that a store has for a source.

    :raises PolicyError: when no physical tier of the source names the store.
    """
    stores = system.repository_stores(source)
    if store not in stores:
        raise PolicyError(
            [f"{system.system}.yaml: no physical tier takes {source.name!r} to store {store!r}; its repositories are "
             f"in {', '.join(stores) or 'no store'}"]
        )
    return stores.index(store) + 1


def type_of(system: ProtectedSystem, tier: Tier | None, store: str) -> BackupType:
    """pgBackRest's type for a tier.

    :raises Refused: when it is not one of the cluster's, or does not go to the store.
    """
    if tier is None or not tier.is_physical:
        known = ", ".join(each.name for each in system.tiers if each.is_physical) or "none"
        asked = "no tier was given" if tier is None else f"tier {tier.name!r} is {tier.method}, which pg_dump takes"
        raise Refused(f"{system.system}: {asked}; pgBackRest takes the tiers of the cluster: {known}")
    if store not in tier.stores:
        raise Refused(f"{system.system}: tier {tier.name!r} goes to {', '.join(tier.stores)}, not to store {store!r}")
    return _TYPES[tier.method]


def open_stanza(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    *,
    create: bool = False,
    needed: str | None = None,
) -> Stanza:
    """The server's own stanza with all repositories, for backups, checks and expiry.

    :param create: make the pass of a repository that has none yet.
    :param needed: the store that has to answer; of another one that is down, the pass is taken from the file as it was
        written before. None: every store has to.
    :raises PolicyError: when the source has no physical tiers.
    :raises SourceUnavailable, SourceError, InsufficientRights: when the server cannot be asked.
    :raises KeyUnavailable, StoreUnavailable: when a repository's pass cannot be had.
    """
    physical = physical_of_policy(system, source)
    stores = system.repository_stores(source)
    if not stores:
        raise PolicyError(
            [f"{system.system}.yaml: no tier of method full, differential or incremental takes {source.name!r}, so it "
             "has no repository; add one"]
        )
    cluster = ask_cluster(workspace.cluster(source))
    standby = None
    if physical.backup_from == "standby" and physical.standby is not None:
        server = workspace.cluster(source, standby=True)
        place = ask_cluster(server).place
        # One on another host is reached over ssh.
        standby = place if server.host.startswith("/") else replace(place, host=server.host)
    folders, repositories = folders_of(system, source), []
    for number, store in enumerate(stores, 1):
        try:
            secret = pass_of(workspace, system, source, store, create=create)
        except StoreUnavailable:
            kept = workplace.written(folders, f"repo{number}-cipher-pass")
            if kept is None or store == needed or needed is None:
                raise
            secret = kept
        repositories.append(repository_in(workspace, store, number, secret))
    configuration = Configuration(
        stanza=system.stanza(source),
        cluster=cluster.place,
        repositories=repositories,
        folders=folders,
        options=options_of(physical),
        standby=standby,
    )
    workplace.prepare(configuration)
    return Stanza(system, source, configuration, stores, cluster)


def open_reading(workspace: Workspace, system: ProtectedSystem, source: PostgresSource, store: str) -> Stanza:
    """A stanza that only reads one store's repository; neither the server nor another store has to be there.

    :raises PolicyError: when no physical tier of the source names the store.
    :raises KeyUnavailable, StoreUnavailable: when the repository's pass cannot be had.
    """
    physical = physical_of_policy(system, source)
    number = repository_number(system, source, store)
    folders = Folders(folders_of(system, source).root / "reading" / store)
    cluster = _if_it_answers(workspace, source)
    # Without its server, nobody knows where the cluster was; pgBackRest wants a path all the same.
    place = cluster.place if cluster else ClusterPlace(str(folders.root / "no-cluster"))
    configuration = Configuration(
        stanza=system.stanza(source),
        cluster=place,
        repositories=[repository_in(workspace, store, number, pass_of(workspace, system, source, store))],
        folders=folders,
        # A standby is for backups, and this takes none.
        options=replace(options_of(physical), from_standby=False),
    )
    workplace.prepare(configuration)
    return Stanza(system, source, configuration, (store,), cluster)


def require_archiving(stanza: Stanza) -> None:
    """Nothing for a server whose WAL goes where the policy says, on this host.

    :raises SourceError, InsufficientRights: when it does not; a backup would wait for its WAL in vain.
    """
    cluster = stanza.cluster
    assert cluster is not None
    where = f"{stanza.system.system}/{stanza.source.name}"
    prepare_it = f"run: lifeboat prepare {stanza.system.system} --source {stanza.source.name} --physical"
    try:
        owner = Path(cluster.data_directory).stat().st_uid
    except OSError as error:
        raise SourceError(
            f"{where}: data directory {cluster.data_directory} cannot be looked at on this host ({error.strerror}); "
            "run Lifeboat's worker on the database's host, as the server's operating-system user"
        ) from error
    if owner != os.geteuid():
        raise InsufficientRights(
            f"{where}: data directory {cluster.data_directory} belongs to user id {owner}, and this runs as "
            f"{os.geteuid()}; run Lifeboat's worker as the server's operating-system user"
        )
    if cluster.archive_mode == "off":
        raise SourceError(f"{where}: archive_mode is off, so no WAL is archived; {prepare_it}, restart the server")
    if cluster.archive_command != archive_command(stanza.configuration):
        raise SourceError(
            f"{where}: the server archives by another archive_command than {stanza.configuration.folders.config} "
            f"needs; {prepare_it}"
        )


def pass_of(
    workspace: Workspace, system: ProtectedSystem, source: PostgresSource, store: str, *, create: bool = False
) -> str:
    """The pass of a source's repository in a store.

    :param create: make it when there is none yet, and the repository holds nothing of the stanza.
    :raises KeyUnavailable, StoreUnavailable: when it cannot be had.
    """
    if create:
        _refuse_to_replace(workspace, system, source, store)
    return cipher_pass(workspace.store(store), workspace.keyring(), system.system, source.name, create=create)


def repository_in(workspace: Workspace, store: str, number: int, secret: str) -> Repository:
    """The repository that the platform has in a store.

    :param secret: its pass.
    """
    definition = workspace.definition(store)
    if definition.kind == "folder":
        return FolderRepository(number, str(definition.path.absolute()) + REPOSITORY_PATH, cipher_pass=secret)
    place = definition.repository_place
    connection = workspace.connections(place.connection)
    return S3Repository.from_connection(number, place.bucket, connection, cipher_pass=secret, path=REPOSITORY_PATH)


def options_of(physical: PhysicalOptions) -> Options:
    """How the policy wants backups to be made."""
    cores = physical.process_max or os.cpu_count() or 1
    return Options(
        process_max=cores,
        push_processes=min(2, cores),
        compress_type=physical.compress.type,
        compress_level=physical.compress.level,
        queue_max=physical.queue_max,
        from_standby=physical.backup_from == "standby",
    )


def _refuse_to_replace(workspace: Workspace, system: ProtectedSystem, source: PostgresSource, store: str) -> None:
    """A lost pass is an error: a new one could not read what the repository holds."""
    prefix = cipher_prefix(system.system, source.name)
    if Numbered(workspace.store(store), prefix).newest() is not None:
        return
    held = _held(workspace, store, system.stanza(source))
    if held is not None:
        raise KeyUnavailable(
            f"store {store} has no pass for the repository of {system.system}/{source.name}, and its repository holds "
            f"{held}; copy {prefix} from a copy of the store, or move the old repository away: a new pass cannot read "
            "it"
        )


def _held(workspace: Workspace, name: str, stanza: str) -> str | None:
    """A file of the stanza in a store's repository; None when the repository knows nothing of it."""
    definition = workspace.definition(name)
    repository: ObjectStore
    if definition.kind == "folder":
        repository = FolderStore(name, definition.path)
    else:
        place = definition.repository_place
        repository = S3Store.from_connection(name, place.bucket, workspace.connections(place.connection))
    for part in ("archive", "backup"):
        for info in repository.list(f"{REPOSITORY_PATH.strip('/')}/{part}/{stanza}/"):
            return info.key
    return None


def _if_it_answers(workspace: Workspace, source: PostgresSource) -> Cluster | None:
    """What the server says of its cluster; nothing when it is the one that was lost."""
    try:
        return ask_cluster(workspace.cluster(source))
    except LifeboatError:
        # It may be gone, or take connections and answer nothing: what is to be restored is not asked of it.
        return None
