"""A cluster of its own that archives to two repositories over TLS, and whatever its tests do with both."""

from __future__ import annotations

import itertools
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.lab.ports import free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.pgbackrest import workplace
from include.recovery.pgbackrest.backup import TakenBackup, back_up, ensure_stanza
from include.recovery.pgbackrest.check import ArchiveReport, check_archive
from include.recovery.pgbackrest.choose import Choice, choose
from include.recovery.pgbackrest.cipher import cipher_pass
from include.recovery.pgbackrest.cluster import Cluster, ask_cluster, prepare_archive
from include.recovery.pgbackrest.configuration import (
    Configuration,
    FolderRepository,
    Folders,
    Options,
    Repository,
    S3Repository,
    archive_command,
)
from include.recovery.pgbackrest.restore import Recovered, configuration_of_copy, recover, restore_cluster
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.postgres.heartbeat import beat
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from tests.fixtures.shared import SharedServers
from tests.recovery.conftest import escrow_key, folder_workspace, signer

if TYPE_CHECKING:
    from tests.fixtures.servers import ObjectStores

__all__ = ["escrow_key", "folder_workspace", "signer"]

STANZA = "shop-main-db"
_names = itertools.count(1)


@dataclass
class World:
    """A protected cluster with its repositories.

    :param place: for scratch folders; short, since sockets lie in there.
    """

    cluster: PostgresCluster
    server: PostgresServer
    configuration: Configuration
    place: Path
    ends: ExitStack = field(default_factory=ExitStack)

    @property
    def tool(self) -> PgBackRest:
        return PgBackRest.of(self.configuration)

    @property
    def facts(self) -> Cluster:
        return ask_cluster(self.server)

    def sql(self, *statements: str) -> Any:
        """Run statements, each in a transaction of its own; the last one's first value."""
        with self.server.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchone()[0] if cursor.description else None

    def now(self) -> datetime:
        return self.sql("SELECT clock_timestamp()").astimezone(UTC)

    def note(self, text: str) -> datetime:
        """Write a row; the moment after its commit."""
        self.sql(f"INSERT INTO public.notes (text) VALUES ('{text}')")
        return self.now()

    def archive_all(self, seconds: float = 60) -> str:
        """Close the segment and wait until it is archived; its name."""
        # Something must be in the segment first: at its very beginning, the position still names the one before.
        ask = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
        name = self.sql("SELECT pg_create_restore_point('closing')", ask)
        self.sql("SELECT pg_switch_wal()")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (self.sql("SELECT last_archived_wal FROM pg_stat_archiver") or "")[:24] >= name:
                return name
            time.sleep(0.1)
        raise AssertionError(f"{name} was not archived within {seconds} s")

    def back_up(self, kind: str = "full", repository: int = 1, **more: Any) -> TakenBackup:
        return back_up(
            self.tool, kind, repository, options=self.configuration.options,  # type: ignore[arg-type]
            server_version=self.facts.version, **more,
        )

    def wal(self, repository: int = 1, *, open_newest: int = 0) -> ArchiveReport:
        since = datetime.now(UTC) - timedelta(hours=72)
        return check_archive(self.tool, repository, since=since, open_newest=open_newest)

    def choose(self, target: Target, repository: int = 1, **more: Any) -> Choice:
        report = self.wal(repository)
        return choose(self.tool.info(repository=repository), repository, target, report.archive, report.lineage, **more)

    def scratch(self) -> Path:
        """A new scratch folder, removed with its server in the end."""
        folder = self.place / f"s{next(_names)}"
        self.ends.callback(ScratchServer.remove, folder)
        return folder

    def restore(
        self, target: Target, repository: int = 1, *, folder: Path | None = None, **more: Any
    ) -> Recovered:
        """Restore and recover into a scratch folder."""
        folder = folder or self.scratch()
        choice = self.choose(target, repository)
        restore_cluster(
            self.configuration, folder, target, label=choice.backup.label, repository=repository, **more
        )
        return recover(folder, target, major=15, superuser=SUPERUSER, at_least=choice.reach.last, wait=60)

    def of_copy(self, folder: Path) -> PgBackRest:
        """The pgBackRest of a scratch folder."""
        return PgBackRest.of(configuration_of_copy(self.configuration, folder))


def notes(copy: Recovered) -> list[str]:
    """The rows of a restored copy."""
    with copy.server.server("postgres").connect() as connection:
        return [row[0] for row in connection.execute("SELECT text FROM public.notes ORDER BY id")]


def make_world(
    registry: Any, repositories: list[Repository], *, checksums: bool = False, options: Options | None = None
) -> World:
    """A new cluster that archives; stopped and removed by ``world.ends``."""
    ends, place = ExitStack(), Path(tempfile.mkdtemp(prefix="lb-b-"))
    ends.callback(shutil.rmtree, place, ignore_errors=True)
    cluster = PostgresCluster(
        f"pgbackrest-{secrets.token_hex(3)}", place / "pg", free_ports(1)[0], registry, secrets.token_urlsafe(12),
        VOLATILE,
    )
    cluster.create()
    if checksums:
        cluster._tool("pg_checksums", "--enable", "-D", str(cluster.data))
    cluster.start()
    ends.callback(cluster.stop)
    server = PostgresServer(host=str(cluster.socket_directory), port=cluster.port, user=SUPERUSER)
    configuration = Configuration(
        STANZA, ask_cluster(server).place, repositories, Folders(place / "br"), options or Options(archive_wait=20)
    )
    workplace.prepare(configuration)
    world = World(cluster, server, configuration, place, ends)
    prepared = prepare_archive(server, archive_command(configuration), timedelta(seconds=60))
    assert prepared.restart_for == ("archive_mode",)
    cluster.stop()
    cluster.start()
    assert prepare_archive(server, archive_command(configuration), timedelta(seconds=60)).changed == {}
    ensure_stanza(world.tool)
    world.sql("CREATE TABLE public.notes (id serial PRIMARY KEY, text text, at timestamptz DEFAULT now())")
    return world


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    """With an escrow key alone: no key service is needed here."""
    pem = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Keyring([EscrowWrapper(private_key_pem=pem.decode())])


@pytest.fixture(scope="module")
def world(shared_servers: SharedServers, object_stores: ObjectStores, keyring: Keyring) -> Iterator[World]:
    """With two repositories in two S3 regions, over TLS, verified, encrypted; the second one never forgets."""
    repositories: list[Repository] = []
    unique = secrets.token_hex(3)
    for number, name in enumerate(("primary", "offsite"), 1):
        store = getattr(object_stores, name)
        secret = cipher_pass(store, keyring, f"shop-{unique}", "main-db", create=True)
        assert secret == cipher_pass(store, keyring, f"shop-{unique}", "main-db")
        repositories.append(S3Repository.from_connection(
            number, store.bucket, object_stores.connections[name], cipher_pass=secret, path=f"/repository-{unique}"
        ))
    world = make_world(shared_servers.registry, repositories)
    with world.ends:
        yield world


@pytest.fixture
def small_world(shared_servers: SharedServers, tmp_path: Path) -> Iterator[World]:
    """With one repository in a folder, for tests that damage it."""
    repository = FolderRepository(1, str(tmp_path / "repository"), cipher_pass="a pass")
    world = make_world(shared_servers.registry, [repository], checksums=True)
    with world.ends:
        yield world


@contextmanager
def beating(server: PostgresServer, seconds: float = 0.5) -> Iterator[None]:
    """The heartbeat of a database, every so many seconds."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(seconds):
            beat(server)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def wal_file(world: World, segment: str) -> Path:
    """A segment's file in a folder repository."""
    (path,) = Path(world.configuration.repository(1).where).glob(f"archive/{STANZA}/15-1/*/{segment}-*")
    return path
