"""Where commands find policies, stores, keys and databases: by policies and connections, or by a bucket and a key."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import typer

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.model import CompleteBackup
from include.recovery.connections import ConnectionInfo, connections_from_environment
from include.recovery.errors import BackupNotFound, LifeboatError, PolicyError
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.policy.files import load_folder, policies_folder
from include.recovery.policy.models import ContentSource, PostgresSource, Source
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources.run_info import RunInfo
from include.recovery.stores.folder import FolderStore
from include.recovery.stores.port import ObjectStore
from include.recovery.stores.s3 import S3Store
from include.recovery.workspace import PRIMARY, Workspace

URL_FORMS = "s3://bucket (endpoint and credentials from AWS_* variables) or a folder's path"


@dataclass
class EmergencyWorkspace(Workspace):
    """A workspace that may have lost its policies or its KMS: the bucket and the escrow key are enough.

    :param only_store: stands for every store, when a store was given by its URL.
    :param escrow: unwraps keys instead of the KMS, when its private half was given.
    """

    only_store: ObjectStore | None = None
    escrow: EscrowWrapper | None = None

    def store(self, name: str) -> ObjectStore:
        """The store of that name in the policy, or the one that was given by its URL."""
        return self.only_store if self.only_store is not None else super().store(name)

    def deleter(self, name: str) -> ObjectStore:
        """That of the policy, or the store that was given by its URL."""
        return self.only_store if self.only_store is not None else super().deleter(name)

    def keyring(self) -> Keyring:
        """The platform's keys, or the escrow key that was given."""
        return Keyring([self.escrow]) if self.escrow is not None else super().keyring()


@dataclass
class Desk:
    """What the global options gave.

    :param store_url: of a store to use instead of those of the policies.
    :param key: file with the escrow's private key, to use instead of the KMS.
    :param as_json: whether results go out as JSON.
    """

    policies: Path | None = None
    connections: Path | None = None
    store_url: str | None = None
    key: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def workspace(self) -> EmergencyWorkspace:
        """The policies and the ways to everything; nothing is connected yet."""
        environ = dict(self.environ)
        if self.connections is not None:
            environ["LIFEBOAT_CONNECTIONS"] = str(self.connections)
        folder = self.policies or policies_folder()
        return EmergencyWorkspace(
            load_folder(folder),
            connections_from_environment(environ),
            only_store=None if self.store_url is None else store_of(self.store_url, environ),
            escrow=None if self.key is None else escrow_of(self.key, environ),
        )

    def now(self) -> datetime:
        """The time; commands take it from here only."""
        return datetime.now(UTC)

    def person(self) -> str:
        """Who runs the command, as the operating system knows them."""
        return getpass.getuser()

    def run_id(self, what: str) -> str:
        """A run id for what a person does by hand."""
        return f"cli-{what}-{self.now():%Y%m%dT%H%M%S}-{self.person()}"

    def catalog(self, store: str) -> Catalog:
        """The catalog of a store."""
        return self.workspace.catalog(store)

    def pick(
        self, system: str, wish: str, store: str, source: str | None = None, *, kind: str | None = None
    ) -> CompleteBackup:
        """The backup that a wish names.

        :param kind: only of this one. None: any when an id was given; else of the dumps, where there are some, since
            the newest backup of the cluster is mostly an increment of the last hour.
        :raises BackupNotFound: when none fits, or when the system has several sources and none was named.
        """
        catalog = self.catalog(store)
        source = source or self._only_source(catalog, system)
        if kind is None and wish.strip().startswith("newest"):
            kinds = {backup.manifest.kind for backup in catalog.backups(system, source)}
            kind = "postgres" if "postgres" in kinds else None
        return catalog.pick(system, source, kind, wish)

    def source(self, system: str, source: str | None = None) -> Source:
        """A source of the policy.

        :raises PolicyError: when it is not there, or several are and none was named.
        """
        policy = self.workspace.system(system)
        return policy.source(_the_only(system, policy.sources) if source is None else source)

    def database(self, system: str, source: str | None = None) -> PostgresSource:
        """A PostgreSQL source of the policy.

        :raises PolicyError: when it is not there or of another kind, or when several are and none was named.
        """
        policy = self.workspace.system(system)
        return policy.database(_the_only(system, policy.databases) if source is None else source)

    def content_source(self, system: str, source: str | None = None) -> ContentSource | None:
        """The source, when it is one that is backed up item by item; None for a database, or without a policy."""
        policy = self.workspace.policies.systems.get(system)
        named = [each for each in policy.sources if source in {None, each.name}] if policy else []
        return named[0] if len(named) == 1 and isinstance(named[0], ContentSource) else None

    def target(self, system: str, source: str | None = None, connection: str | None = None) -> PostgresServer:
        """The server to restore to.

        :param connection: an id; without it the source's restore connection, and without a policy the PG* variables.
        """
        if connection is not None:
            return PostgresServer.from_connection(self.workspace.connections(connection))
        if self.store_url is None or system in self.workspace.policies.systems:
            return self.workspace.server(self.database(system, source), "restore")
        if "PGHOST" not in self.environ:
            raise LifeboatError(
                f"{system} has no policy here, so the server to restore to is not known; "
                "name it with PGHOST, PGPORT, PGUSER and PGPASSWORD, or with --on and a connection"
            )
        return PostgresServer(
            host=self.environ["PGHOST"],
            port=int(self.environ.get("PGPORT", "5432")),
            user=self.environ.get("PGUSER", self.person()),
            password=self.environ.get("PGPASSWORD", ""),
            sslmode=self.environ.get("PGSSLMODE"),
            sslrootcert=self.environ.get("PGSSLROOTCERT"),
            passfile=self.environ.get("PGPASSFILE"),
        )

    def _only_source(self, catalog: Catalog, system: str) -> str:
        names = sorted({backup.manifest.source for backup in catalog.backups(system)})
        if not names:
            known = sorted({backup.manifest.system for backup in catalog.backups()})
            raise BackupNotFound(
                f"store {catalog.store.name} has no backup of {system}; "
                f"it has backups of {', '.join(known) or 'nothing'}"
            )
        if len(names) > 1:
            raise BackupNotFound(f"{system} has backups of several sources; name one with --source: {', '.join(names)}")
        return names[0]


def store_of(url: str, environ: Mapping[str, str]) -> ObjectStore:
    """A store by its URL.

    :raises LifeboatError: naming the forms that are known.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc:
        extra = {
            "endpoint_url": environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL"),
            "region_name": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
            "verify": environ.get("AWS_CA_BUNDLE"),
        }
        connection = ConnectionInfo(
            id="store-url",
            login=environ.get("AWS_ACCESS_KEY_ID", ""),
            password=environ.get("AWS_SECRET_ACCESS_KEY", ""),
            extra={name: value for name, value in extra.items() if value},
        )
        return S3Store.from_connection(PRIMARY, parts.netloc, connection)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(url)
    if parts.scheme not in {"", "file"} or not path.is_dir():
        raise LifeboatError(f"--store-url {url!r} is not a store; allowed is {URL_FORMS}")
    return FolderStore(PRIMARY, path)


def escrow_of(path: Path, environ: Mapping[str, str]) -> EscrowWrapper:
    """The escrow key from a file; its password, when it has one, from ``LIFEBOAT_KEY_PASSWORD``."""
    try:
        pem = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LifeboatError(f"--key {path} cannot be read: {error.strerror}") from None
    return EscrowWrapper(private_key_pem=pem, password=environ.get("LIFEBOAT_KEY_PASSWORD"))


def desk_of(context: typer.Context) -> Desk:
    """The desk that the global options made."""
    desk = context.find_object(Desk)
    if desk is None:
        raise LifeboatError("the command was called without its application")
    return desk


def _the_only(system: str, sources: Sequence[Source]) -> str:
    names = [source.name for source in sources]
    if len(names) != 1:
        found = f"several sources; name one with --source: {', '.join(names)}" if names else "no such source"
        raise PolicyError([f"{system} has {found}"])
    return names[0]


def run_info(desk: Desk, what: str) -> RunInfo:
    """What the records of this command say about who did it."""
    return RunInfo(run_id=desk.run_id(what), try_number=1, started_by=f"{desk.person()} (lifeboat {what})", url=None)


def split(names: str | None) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())
