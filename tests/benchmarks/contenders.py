"""The two ways to do each thing: the classic scripts of runbooks everywhere, and Lifeboat.

Each function does one thing once and says what it cost. Classic is taken as it is written in such runbooks, and gets
the benefit of the doubt: its restores read a local file, and it neither encrypts nor verifies anything.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from include.recovery.connections import connections_from_environment
from include.recovery.fingerprint.measure import measure
from include.recovery.policy.files import load_folder
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources import verbs
from include.recovery.workspace import Workspace
from tests.benchmarks.processes import Cost, run, shell
from tests.benchmarks.world import CLASSIC_BUCKET, DATABASE, ROOT, World, system_name

ONE_TABLE = "learners"
_KEYS = {"learners": "id", "threads": "id", "posts": "id", "files": "id", "clicks": "id", "ledger": "id"}
_UPLOAD = "import boto3, sys; boto3.client('s3').upload_file(sys.argv[1], sys.argv[2], sys.argv[3])"


@dataclass(frozen=True)
class Classic:
    """``pg_dump | gzip``, ``gunzip | psql``."""

    world: World

    @property
    def file(self) -> Path:
        """The dump."""
        return self.world.directory / "classic.sql.gz"

    def backup(self) -> Cost:
        """Dump, compress, then copy to S3 as ``aws s3 cp`` does it (the same library, its own defaults)."""
        upload = f"{sys.executable} -c \"{_UPLOAD}\" '{self.file}' {CLASSIC_BUCKET} database/classic.sql.gz"
        script = f"pg_dump {DATABASE} | gzip > '{self.file}'; {upload}"
        checksums = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}  # radosgw refuses the newer default over TLS
        return shell(script, self._environment(self.world.source, **self.world.environment, **checksums))

    def restore(self, target: PostgresServer, database: str) -> Cost:
        """Into a new database."""
        with new_database(target, database):
            script = f"gunzip -c '{self.file}' | psql -X -q {database} > '{self.world.directory}/psql.log'"
            return shell(script, self._environment(target))

    def one_table(self, target: PostgresServer, database: str) -> Cost:
        """Its rows out of the whole dump."""
        with new_database(target, database) as connect:
            with connect() as connection:
                connection.execute(_TABLE.encode())
            cut = rf"sed -n '/^COPY public.{ONE_TABLE} /,/^\\\.$/p'"
            return shell(f"gunzip -c '{self.file}' | {cut} | psql -X -q {database}", self._environment(target))

    def ids(self) -> Cost:
        """The checksums of runbooks: they look at the ids only."""
        queries = [
            f"psql -X -q -o /dev/null -d {DATABASE} -c \"SELECT md5(string_agg({key}::text, '' ORDER BY {key}))"
            f' FROM {table}"'
            for table, key in _KEYS.items()
        ]
        return shell("; ".join(queries), self._environment(self.world.source))

    def _environment(self, server: PostgresServer, **more: str) -> dict[str, str]:
        return {**os.environ, **server.environment(search_path="public"), **more}


_TABLE = """
CREATE TABLE public.learners (
    id bigint, handle uuid, email text, full_name text, preferences jsonb, balance numeric(12, 2), active boolean,
    joined timestamptz)
"""


@dataclass(frozen=True)
class Lifeboat:
    """The command line, as a person would call it."""

    world: World

    def backup(self, level: int, database: str = DATABASE, *, memory: bool = False) -> tuple[Cost, dict[str, Any]]:
        """Everything that ``lifeboat backup`` does: rights, snapshot, dumps, fingerprint, encryption, manifest."""
        cost = self._run("backup", system_name(database, level), "--json", memory=memory)
        return cost, json.loads(cost.output)

    def restore(
        self, profile: str, target: PostgresServer, into: str, *, database: str = DATABASE, memory: bool = False
    ) -> Cost:
        """The newest backup into a new database; without statistics, which the classic way leaves out too."""
        words = (system_name(database, 3), "--on", profile, "--into", into, "--no-compare", "--no-statistics")
        try:
            return self._run("restore", *words, memory=memory)
        finally:
            drop_database(target, into)

    def one_table(self, target: PostgresServer, schema: str) -> tuple[Cost, int, int]:
        """One table beside the original: the cost, what was fetched, and the size of the table's own object."""
        began = time.monotonic()
        connections = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(self.world.connections)})
        workspace = Workspace(load_folder(self.world.policies), connections)
        backup = workspace.catalog().pick(system_name(DATABASE, 3), "main-db", None, "newest")
        name = f"public.{ONE_TABLE}"
        report = verbs("postgres").restore_tables(workspace, backup, target, tables=[name], schema=schema)
        seconds = time.monotonic() - began
        with target.connect() as connection:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
        [part] = [part for part in backup.manifest.parts if name in part.tables]
        return Cost(seconds, 0, ""), report.fetched, sum(volume.size for volume in part.volumes)

    def fingerprint(self) -> Cost:
        """Every row of every table, and all definitions."""
        began = time.monotonic()
        measure(partial(self.world.source.with_database(DATABASE).connect))
        return Cost(time.monotonic() - began, 0, "")

    def _run(self, *words: str, memory: bool) -> Cost:
        where = ("--policies", str(self.world.policies), "--connections", str(self.world.connections))
        argv = [sys.executable, "-m", "include.recovery.cli", *where, *words]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
        return run(argv, environment, memory=memory)


@contextmanager
def new_database(server: PostgresServer, name: str) -> Iterator[Callable[[], Any]]:
    """An empty database, dropped at the end."""
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    try:
        yield server.with_database(name).connect
    finally:
        drop_database(server, name)


def drop_database(server: PostgresServer, name: str) -> None:
    """Drop a database, whoever is in it; and let the next contender begin with no work left to do."""
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute("CHECKPOINT")
