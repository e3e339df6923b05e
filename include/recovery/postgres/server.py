"""Where a PostgreSQL server is, and how to reach it without showing the password to anybody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

import psycopg
from psycopg import pq

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import SourceError, SourceUnavailable

APPLICATION_NAME = "lifeboat"
MAINTENANCE_DATABASE = "postgres"
"""Where to log in when the database itself is made, renamed or dropped."""
CONNECT_TIMEOUT = 10
_SESSION = {
    # A policy of the server must not end or block a backup in the middle; the work has limits of its own.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_encoding": "UTF8",
    "search_path": "",
}
_REFUSED = ("authentication failed", "no pg_hba.conf entry", "does not exist", "is not permitted to log in",
            "no password supplied", "permission denied for database", "is not currently accepting connections")
_PASSED_ON = ("PATH", "HOME", "LD_LIBRARY_PATH", "PGPASSFILE", "TMPDIR")


@dataclass(frozen=True)
class PostgresServer:
    """One database on one server, seen as one role. The password never shows in ``repr``.

    :param host: name, address, or the directory of a unix socket.
    :param passfile: a libpq password file, when there is no password here.
    """

    host: str
    port: int = 5432
    user: str = "postgres"
    password: str = field(default="", repr=False)
    database: str = "postgres"
    sslmode: str | None = None
    sslrootcert: str | None = None
    passfile: str | None = None

    @classmethod
    def from_connection(cls, connection: ConnectionInfo, *, database: str | None = None) -> PostgresServer:
        """The server of an Airflow-style connection.

        :param database: None means the connection's schema field.
        """
        extra = connection.extra
        return cls(
            host=connection.host,
            port=connection.port or 5432,
            user=connection.login or "postgres",
            password=connection.password,
            database=database or connection.schema or "postgres",
            sslmode=extra.get("sslmode"),
            sslrootcert=extra.get("sslrootcert"),
            passfile=extra.get("passfile"),
        )

    @property
    def redacted(self) -> str:
        """Where this is, for messages: role, host, port and database, never the password."""
        return f"{self.database} on {self.host}:{self.port} as {self.user}"

    def with_database(self, database: str) -> PostgresServer:
        """The same server and role, another database."""
        return replace(self, database=database)

    def environment(self, **settings: str) -> dict[str, str]:
        """The whole environment for a client tool, the only way by which it learns the password.

        :param settings: server settings for the tool's sessions, such as ``maintenance_work_mem="256MB"``.
        """
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= {
            "LC_ALL": "C.UTF-8",
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGAPPNAME": APPLICATION_NAME,
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT),
            "PGCLIENTENCODING": "UTF8",
        }
        optional = {"PGPASSWORD": self.password, "PGSSLMODE": self.sslmode, "PGSSLROOTCERT": self.sslrootcert,
                    "PGPASSFILE": self.passfile}
        env |= {name: value for name, value in optional.items() if value}
        if settings:
            env["PGOPTIONS"] = _options(settings)
        return env

    def connect(
        self, *, autocommit: bool = True, settings: Mapping[str, str] | None = None, timeout: int = CONNECT_TIMEOUT
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """A new session with an empty search path and without time-outs of the server's.

        :param settings: more server settings, for this session.
        :param timeout: seconds until the server must have answered.
        :raises SourceUnavailable: when the server cannot be reached.
        :raises SourceError: when it answers and refuses the login or does not know the database.
        """
        parameters: dict[str, Any] = {
            "host": self.host, "port": self.port, "user": self.user, "dbname": self.database,
            "application_name": APPLICATION_NAME, "connect_timeout": timeout,
            "options": _options({**_SESSION, **(settings or {})}),
            "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
        }
        optional = {"password": self.password, "sslmode": self.sslmode, "sslrootcert": self.sslrootcert,
                    "passfile": self.passfile}
        parameters |= {name: value for name, value in optional.items() if value}
        try:
            return psycopg.connect(autocommit=autocommit, **parameters)
        except psycopg.OperationalError as error:
            message = " ".join(str(error).split())
            if any(word in message for word in _REFUSED):
                raise SourceError(
                    f"{self.redacted}: the server refuses the login: {message}; correct the connection or the role"
                ) from None
            raise SourceUnavailable(
                f"{self.redacted}: the server cannot be reached: {message}; check that it runs and is reachable"
            ) from None

    def encrypted_password(self, password: str, role: str) -> str:
        """A SCRAM verifier of a password, so that the server's log never sees the password itself."""
        with self.connect() as connection:
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        return verifier.decode()


def sql(text: str) -> LiteralString:
    """Mark SQL that was put together from quoted names as fit to run (psycopg's types ask for literals)."""
    return text


def is_alive(connection: psycopg.Connection[Any]) -> bool:
    """Whether a session still answers."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return connection.pgconn.status == pq.ConnStatus.OK


def _options(settings: Mapping[str, str]) -> str:
    """libpq's ``options``: spaces and backslashes in values escaped."""
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())
