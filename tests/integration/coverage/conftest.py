"""A small system on a real server, with backups and drills in one line."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog.model import Manifest, ProofLevel
from include.recovery.connections import connections_from_environment
from include.recovery.coverage.discover import coverage
from include.recovery.coverage.model import Coverage, Found, SourceCoverage
from include.recovery.keys.envelope import Keyring
from include.recovery.policy.files import load_folder
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources import RunInfo, postgres
from tests.fixtures.content import EscrowWorkspace, content_keyring
from tests.fixtures.small_systems import policy

__all__ = ["content_keyring"]


@dataclass
class Harbour:
    """The system, its server, and who drills it."""

    workspace: EscrowWorkspace
    server: PostgresServer
    ends: ExitStack

    def execute(self, statement: str) -> None:
        with self.server.connect(settings={"search_path": "public"}) as connection:
            connection.execute(statement.encode())

    def make_database(self) -> str:
        """Another one on the same server."""
        name = f"forgotten_{secrets.token_hex(4)}"
        with self.server.with_database("postgres").connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        self.ends.callback(self.drop_database, name)
        return name

    def drop_database(self, name: str) -> None:
        with self.server.with_database("postgres").connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def back_up(self) -> Manifest:
        system = self.workspace.system("depot")
        run = RunInfo(run_id=f"run-{secrets.token_hex(4)}", started_by="a test")
        return postgres.backup(self.workspace, system, system.database("main-db"), system.tier("daily"), run=run)

    def drill(self, manifest: Manifest) -> None:
        """Restore to a database of its own, and compare every row."""
        backup = self.workspace.catalog().backup("depot", "main-db", "postgres", manifest.id)
        name = f"drill_{secrets.token_hex(4)}"
        try:
            postgres.restore(self.workspace, backup, self.server, database=name, roles=False)
            found, proof = postgres.compare(self.workspace, backup, self.server.with_database(name))
            assert (found.identical, proof.level) == (True, ProofLevel.IDENTICAL), found.verdict
        finally:
            self.drop_database(name)

    def look(self, later: timedelta = timedelta()) -> Coverage:
        return coverage(self.workspace, datetime.now(UTC) + later)

    def source(self, later: timedelta = timedelta()) -> SourceCoverage:
        (source,) = self.look(later).sources
        assert source.problem == ""
        return source

    def states(self, later: timedelta = timedelta()) -> dict[str, str]:
        return {table.name: table.state for table in self.source(later).tables}

    def database(self, name: str) -> Found:
        (found,) = (each for each in self.look().found if (each.kind, each.name) == ("database", name))
        return found


@pytest.fixture
def make_harbour(
    fresh_database: PostgresServer, tmp_path: Path, content_keyring: Keyring
) -> Iterator[Callable[..., Harbour]]:
    """Makes the system; what its tests add to the server is dropped."""
    with ExitStack() as ends:

        def make(
            *, source: Mapping[str, Any] = {}, platform: Mapping[str, Any] = {}, connections: Mapping[str, Any] = {}
        ) -> Harbour:
            folder = tmp_path / secrets.token_hex(4)
            (folder / "policies").mkdir(parents=True)
            system = policy("depot", {"streams": 1})
            system["sources"][0] |= {"database": fresh_database.database, "validation": []} | dict(source)
            (folder / "policies" / "depot.yaml").write_text(json.dumps(system))
            stores = {
                each: {"kind": "folder", "path": str(folder / each), "site": each, "medium": "disk", "provider": each}
                for each in ("primary", "offsite")
            }
            stores["offsite"]["replication"] = "copy"
            (folder / "policies" / "platform.yaml").write_text(json.dumps({
                "stores": stores, "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
                "approvals": {"signing_connection": "signing"}, "notifications": {"slack_connection": "slack"},
                "web": {"base_url": "http://127.0.0.1:8080"},
            } | dict(platform)))  # fmt: skip
            login = {
                "host": fresh_database.host, "port": fresh_database.port, "login": fresh_database.user,
                "password": fresh_database.password,
            }  # fmt: skip
            (folder / "connections.json").write_text(
                json.dumps({"depot_backup": login, "depot_restore": login} | dict(connections))
            )
            found = load_folder(folder / "policies")
            assert found.problems == (), found.problems
            known = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(folder / "connections.json")})
            return Harbour(EscrowWorkspace(found, known, ring=content_keyring), fresh_database, ends)

        yield make


@pytest.fixture
def harbour(make_harbour: Callable[..., Harbour]) -> Harbour:
    """With two tables."""
    made = make_harbour()
    made.execute("CREATE TABLE boats (id int PRIMARY KEY, name text)")
    made.execute("INSERT INTO boats SELECT n, 'boat ' || n FROM generate_series(1, 500) n")
    made.execute("CREATE TABLE crews (id int PRIMARY KEY)")
    made.execute("INSERT INTO crews SELECT generate_series(1, 100)")
    return made
