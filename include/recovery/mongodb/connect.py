"""A client of a connection, and what its errors mean for a backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    CursorNotFound,
    OperationFailure,
    PyMongoError,
)

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import InsufficientRights, SourceError, SourceUnavailable

Client = MongoClient[dict[str, Any]]
RawClient = MongoClient[RawBSONDocument]

_OPTIONS = (
    "authSource", "authMechanism", "readPreference", "replicaSet", "serverSelectionTimeoutMS", "tls", "tlsCAFile",
    "tlsCertificateKeyFile",
)  # fmt: skip
_NO_RIGHTS = {13, 18, 8000}
_SNAPSHOT_LOST = {239, 246}
"""SnapshotTooOld, SnapshotUnavailable."""
SILENCE_MS = 600_000
"""A server that says nothing for so long is given up."""


def client_of(connection: ConnectionInfo) -> Client:
    """A client; connects with its first command.

    :param connection: host (or ``host:port,host:port``), login and password; ``extra`` may hold options of PyMongo,
        those of ``_OPTIONS``.
    :raises SourceError: for an option that is none of these.
    """
    unknown = sorted(set(connection.extra) - set(_OPTIONS))
    if unknown:
        raise SourceError(
            f"connection {connection.id!r}: found extra {', '.join(unknown)}; allowed are {', '.join(_OPTIONS)}"
        )
    options: dict[str, Any] = {"serverSelectionTimeoutMS": 10_000, **connection.extra}
    if connection.login:
        options |= {"username": connection.login, "password": connection.password}
        options.setdefault("authSource", connection.schema or "admin")
    try:
        return MongoClient(
            connection.host or "127.0.0.1", connection.port or 27017, connectTimeoutMS=10_000,
            socketTimeoutMS=SILENCE_MS, appname="lifeboat", tz_aware=True, **options,
        )  # fmt: skip
    except (ConfigurationError, PyMongoError) as error:
        raise SourceError(f"connection {connection.id!r} cannot be used: {error}") from error


def local_client(port: int) -> Client:
    """A client of a scratch server on this machine."""
    return MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=10_000, socketTimeoutMS=SILENCE_MS, tz_aware=True)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """What the driver raises in the block, as one of ours.

    :param where: for messages, such as ``labdojo/reports``.
    :raises SourceUnavailable: when the server cannot be reached or went away.
    :raises InsufficientRights: when it refuses the login, or the login may not do this.
    :raises SourceError: for everything else.
    """
    try:
        yield
    except (ConnectionFailure, CursorNotFound) as error:
        raise SourceUnavailable(f"{where}: the MongoDB server cannot be reached or went away: {error}") from error
    except OperationFailure as error:
        if error.code in _NO_RIGHTS:
            raise InsufficientRights(
                f"{where}: the MongoDB login may not do this ({_said(error)}); a backup needs the role "
                "readAnyDatabase, putting back needs readWriteAnyDatabase and dbAdminAnyDatabase"
            ) from error
        if error.code in _SNAPSHOT_LOST:
            raise SourceError(
                f"{where}: MongoDB has given up the moment that was being read ({_said(error)}); set "
                "minSnapshotHistoryWindowInSeconds to more seconds than the whole reading takes"
            ) from error
        raise SourceError(f"{where}: MongoDB refused: {_said(error)}") from error
    except PyMongoError as error:
        raise SourceError(f"{where}: MongoDB cannot be read: {error}") from error


def _said(error: OperationFailure) -> str:
    details = error.details or {}
    return str(details.get("errmsg") or error)


def server_version(client: Client) -> str:
    """Of the server, with its name where it is another than mongod."""
    info = client.admin.command("buildInfo")
    other = info.get("process")
    return str(info.get("version", "unknown")) + (f" ({other})" if other else "")


def can_show_one_moment(client: Client) -> bool:
    """Whether all collections can be read as of one moment: replica sets and sharded clusters from MongoDB 5.0."""
    hello = client.admin.command("hello")
    return ("setName" in hello or hello.get("msg") == "isdbgrid") and int(hello.get("maxWireVersion", 0)) >= 13
