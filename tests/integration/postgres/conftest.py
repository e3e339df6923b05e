"""What the tests of the engine share: a store and a key, backups in one line, a database with everything in it."""

from __future__ import annotations

import itertools
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from include.lab.ports import LOOPBACK, free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import CompleteBackup, Manifest
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure_like
from include.recovery.fingerprint.model import Comparison
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.postgres.backup import BackupOptions, back_up_database
from include.recovery.postgres.restore import RestoreOptions, RestoreReport, restore_database
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.stores.folder import FolderStore
from tests.fixtures.shared import SharedServers

EVERYTHING = Path(__file__).with_name("everything.sql")
ROLES = (
    ('"App Owner"', "NOLOGIN"),
    ("app_readers", "NOLOGIN"),
    ("app_login", "LOGIN PASSWORD 'the application''s own' CONNECTION LIMIT 40"),
    ('"odd; role"', "LOGIN"),
)
_numbers = itertools.count(1)


@dataclass
class Depot:
    """A store in a folder, and backups of any server into it."""

    folder: Path
    store: FolderStore
    keyring: Keyring
    keys: dict[str, bytes] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        """Of the store."""
        return Catalog(self.store)

    def back_up(self, server: PostgresServer, source: str = "main-db", **options: Any) -> CompleteBackup:
        """A committed backup."""
        begun = datetime.now(UTC)
        owner = Owner.of_this_process(f"run-{next(_numbers)}")
        with self.catalog.begin("shop", source, "postgres", owner=owner, keyring=self.keyring) as in_progress:
            taken = back_up_database(server, in_progress, BackupOptions(**options))
            manifest = in_progress.commit(started_by="test", started_at=begun, **taken.fields)
            self.keys[manifest.id] = in_progress.key
        return self.catalog.backup("shop", source, "postgres", manifest.id)

    def key(self, manifest: Manifest) -> bytes:
        """The backup's own key."""
        return self.keys[manifest.id]

    def restore(
        self, backup: CompleteBackup, target: PostgresServer, database: str, **more: Any
    ) -> RestoreReport:
        """Restore into a database of a server."""
        chosen = [name for name in ("streams", "roles", "statistics") if name in more]
        options = RestoreOptions(**{name: more.pop(name) for name in chosen})
        return restore_database(
            backup.manifest, self.store, self.key(backup.manifest), target, database=database, options=options, **more
        )


def compared(backup: CompleteBackup, copy: PostgresServer, tables: list[str] | None = None) -> Comparison:
    """A restored copy against its backup."""
    expected = backup.manifest.fingerprint
    assert expected is not None
    actual = measure_like(expected, copy.connect, tables=tables)
    return compare(expected, actual, tables=tables, sequences="at least")


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    """With an escrow key alone: no key service is needed here."""
    private = rsa.generate_private_key(65537, 4096)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Keyring([EscrowWrapper(public_key_pem=public.decode())])


@pytest.fixture(scope="session")
def postgres_server(shared_servers: SharedServers, worker_id: str) -> PostgresServer:
    """A server of this process alone: the tests here make, rename and drop roles, which belong to a whole server."""
    name = f"engine-{worker_id}"

    def start() -> dict[str, Any]:
        saved = {"port": free_ports(1)[0], "password": secrets.token_urlsafe(16)}
        directory = shared_servers.directory / name
        PostgresCluster(name, directory, registry=shared_servers.registry, settings=VOLATILE, **saved).start()
        return saved

    saved = shared_servers.once(name, start)
    return PostgresServer(host=LOOPBACK, port=saved["port"], user=SUPERUSER, password=saved["password"])


@pytest.fixture
def depot(tmp_path: Path, keyring: Keyring) -> Depot:
    """An empty store."""
    return Depot(tmp_path / "store", FolderStore("local", tmp_path / "store"), keyring)


@pytest.fixture(scope="session")
def start_scratch() -> Iterator[Callable[..., ScratchServer]]:
    """Starts scratch servers that end with the session: ``start_scratch("name", profile, major=...)``."""
    base = Path(tempfile.mkdtemp(prefix="lb-e-"))
    with ExitStack() as stack:
        def start(name: str, profile: str = "drill", *, major: int = 15) -> ScratchServer:
            server = ScratchServer.start(base / name, profile, major=major)  # type: ignore[arg-type]
            stack.callback(server.stop)
            return server

        yield start
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def scratch(start_scratch: Callable[..., ScratchServer]) -> ScratchServer:
    """A drill server of the same version, to restore to."""
    return start_scratch("target")


def make_roles(server: PostgresServer) -> None:
    """The roles that ``everything.sql`` and its application use."""
    with server.connect() as connection:
        present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for name, attributes in ROLES:
            if name.strip('"') not in present:
                connection.execute(f"CREATE ROLE {name} {attributes}".encode())
        connection.execute("GRANT app_readers TO app_login")
        connection.execute("ALTER ROLE app_login SET work_mem = '7MB'")


def fill_with_everything(server: PostgresServer) -> None:
    """Make the database with everything."""
    make_roles(server)
    script = EVERYTHING.read_text(encoding="utf-8")
    settings = {"search_path": "public"}
    with server.connect(settings=settings) as connection:
        try:
            connection.execute("SELECT '<a/>'::xml")
        except psycopg.errors.FeatureNotSupported:
            script = script.replace(" x xml,", " x text,")
        connection.execute(f'ALTER DATABASE "{server.database}" SET work_mem = \'9MB\''.encode())
        connection.execute(f'ALTER DATABASE "{server.database}" SET search_path = app, "Odd Schema"'.encode())
        connection.execute(f"COMMENT ON DATABASE \"{server.database}\" IS 'it''s everything'".encode())
        connection.execute(f'GRANT CONNECT ON DATABASE "{server.database}" TO app_login'.encode())
        connection.execute(f'REVOKE CONNECT ON DATABASE "{server.database}" FROM PUBLIC'.encode())
        connection.execute(script.encode())


def drop_subscription(server: PostgresServer) -> None:
    """A database with a subscription cannot be dropped."""
    with server.connect() as connection:
        connection.execute("ALTER SUBSCRIPTION from_elsewhere SET (slot_name = NONE)")
        connection.execute("DROP SUBSCRIPTION IF EXISTS from_elsewhere")


@pytest.fixture
def everything(fresh_database: PostgresServer) -> Iterator[PostgresServer]:
    """A database with everything in it."""
    fill_with_everything(fresh_database)
    yield fresh_database
    drop_subscription(fresh_database)
