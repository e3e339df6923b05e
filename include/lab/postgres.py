"""PostgreSQL clusters of the lab: Debian's server, loopback and a socket directory, one process each on record."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from include.lab.ceph import run_tool
from include.lab.errors import LabError
from include.lab.ports import LOOPBACK, wait_for
from include.lab.processes import Registry
from include.lab.tls import write_private

SUPERUSER = "postgres"
MAJOR = 15
_PROJECT = Path(__file__).parents[2]
_BINARIES = Path(f"/usr/lib/postgresql/{MAJOR}/bin")
_LONGEST_SOCKET_DIRECTORY = 107 - len("/.s.PGSQL.65535.lock")

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""A primary as in production."""
VOLATILE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For tests: nothing needs to survive a power failure."""


@dataclass(frozen=True)
class PostgresCluster:
    """One server.

    On its socket everybody who can reach the directory (mode 700) is trusted; over TCP a password is asked (scram).

    :param name: of its process.
    :param directory: data and socket.
    :param password: the superuser's, for TCP.
    :param settings: written to ``lab.conf``, over the lean defaults.
    """

    name: str
    directory: Path
    port: int
    registry: Registry
    password: str = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=lambda: DURABLE)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def socket_directory(self) -> Path:
        """Where the unix socket is."""
        return self.directory

    def create(self) -> None:
        """Make the data directory, unless it is there."""
        if (self.data / "PG_VERSION").exists():
            return
        if len(str(self.socket_directory)) > _LONGEST_SOCKET_DIRECTORY:
            raise LabError(f"{self.socket_directory} is too long for a unix socket: choose a shorter LIFEBOAT_HOME")
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)
        fresh, secret = self.directory / "data.new", self.directory / "password"
        shutil.rmtree(fresh, ignore_errors=True)
        write_private(secret, self.password.encode())
        options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        try:
            self._tool("initdb", "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={secret}", "--no-sync", *options)
        finally:
            secret.unlink()
        (fresh / "lab.conf").write_text(self._configuration(), encoding="utf-8")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include 'lab.conf'\n")
        fresh.rename(self.data)

    def start(self) -> None:
        """Create what is missing and start; returns when the server takes connections."""
        self.create()
        launch(self.registry, self.name, self.data)
        wait_for(
            self.name,
            self._accepts,
            seconds=60,
            alive=lambda: self.registry.alive(self.name),
            log=str(self.registry.log(self.name)),
        )

    def stop(self) -> None:
        """Stop at once but in good order (fast shutdown)."""
        self.registry.stop(self.name)

    @property
    def control(self) -> dict[str, Any]:
        """How the server is stopped and started, and where its data are: for the extra of its connection."""
        words = [self.name, self.data, self.registry.directory, self.registry.logs]
        call = ["/usr/bin/env", f"PYTHONPATH={_PROJECT}", sys.executable, "-m", "include.lab.server"]
        argv = {verb: [*call, verb, *(str(word) for word in words)] for verb in ("stop", "start")}
        return {"data_directory": str(self.data), **argv}

    def restart(self) -> None:
        """Stop and start, for settings that need it."""
        self.stop()
        self.start()

    @contextmanager
    def connect(self, database: str = "postgres", *, user: str = SUPERUSER) -> Iterator[psycopg.Connection]:
        """A session over the socket that commits each statement."""
        with psycopg.connect(
            host=str(self.socket_directory), port=self.port, user=user, dbname=database, autocommit=True
        ) as connection:
            yield connection

    def ensure_role(self, name: str, password: str, options: LiteralString = "") -> None:
        """A role that logs in with this password; an existing one gets it."""
        with self.connect() as connection:
            verb = sql.SQL("ALTER" if self._exists("pg_roles", "rolname", name) else "CREATE")
            words = sql.SQL(f"{{}} ROLE {{}} LOGIN {options} PASSWORD {{}}")
            connection.execute(words.format(verb, sql.Identifier(name), sql.Literal(password)))

    def ensure_database(self, name: str, owner: str) -> bool:
        """A database; true when it was made now."""
        if self._exists("pg_database", "datname", name):
            return False
        with self.connect() as connection:
            words = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
            connection.execute(words.format(sql.Identifier(name), sql.Identifier(owner)))
        return True

    def has_table(self, database: str, table: str) -> bool:
        """Whether the database has a table of this name in ``public``."""
        with self.connect(database) as connection:
            row = connection.execute("SELECT to_regclass(format('public.%%I', %s::text))", [table]).fetchone()
        return row is not None and row[0] is not None

    def _exists(self, catalog: LiteralString, column: LiteralString, name: str) -> bool:
        with self.connect() as connection:
            words = sql.SQL(f"SELECT 1 FROM {catalog} WHERE {column} = %s")
            return connection.execute(words, [name]).fetchone() is not None

    def _accepts(self) -> bool:
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def _configuration(self) -> str:
        lean = {
            "listen_addresses": f"'{LOOPBACK}'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self.socket_directory}'",
            "max_connections": "80",
            "shared_buffers": "64MB",
            "wal_level": "replica",
            "max_wal_size": "512MB",
            "log_line_prefix": "'%m [%p] %q%u@%d '",
            "timezone": "'UTC'",
            "log_timezone": "'UTC'",
        }
        return "".join(f"{name} = {value}\n" for name, value in {**lean, **self.settings}.items())

    def _tool(self, program: str, *words: str) -> str:
        return run_tool([str(binary(program)), *words], env={"LC_ALL": "C.UTF-8", "TZ": "UTC"}, cwd=self.directory)


def launch(registry: Registry, name: str, data: Path) -> None:
    """Start the server of a data directory that is there, without waiting for it."""
    if not (data / "PG_VERSION").exists():
        raise LabError(f"{data} holds no cluster, so {name} cannot be started")
    registry.start(name, [binary("postgres"), "-D", data], stop_signal=signal.SIGINT)


def binary(program: str) -> Path:
    """A program of the server's version."""
    path = _BINARIES / program
    if not path.exists():
        raise LabError(f"{path} is missing: run make demo as root once, it installs PostgreSQL {MAJOR}")
    return path
