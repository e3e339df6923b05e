"""A MongoDB to back up. No mongod can be had here, so it is nx-27017: the same wire protocol over SQLite."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from include.recovery.content import scratch_server
from include.recovery.content.scratch_server import Server
from include.recovery.mongodb import scratch
from include.recovery.mongodb.connect import Client
from tests.fixtures import nx_server
from tests.fixtures.content import ContentPlace

EMULATED = "MongoDB by nx-27017"


@dataclass
class Site:
    """A database of the server, and the place that protects it."""

    database: Database[dict[str, Any]]
    place: ContentPlace

    @property
    def name(self) -> str:
        return self.database.name


def started(folder: Path, *options: str) -> Server:
    """A server in a folder; see ``nx_server.py`` for its options."""
    scratch_server.fresh(folder)
    (folder / "data").mkdir()
    port = scratch_server.free_port()
    server = scratch_server.launch(
        [sys.executable, nx_server.__file__, str(folder / "data"), str(port), *options], folder, str(port),
        env=dict(os.environ),
    )  # fmt: skip
    scratch._wait(folder, server)
    return server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own, and ends them however the test ends."""
    folders: list[Path] = []

    def start(*options: str) -> Server:
        folders.append(tmp_path / f"server-{len(folders)}")
        return started(folders[-1], *options)

    yield start
    for folder in folders:
        scratch_server.discard(folder)


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mongodb") / "server"
    yield started(folder)
    scratch_server.discard(folder)


@pytest.fixture
def client(mongodb: Server) -> Iterator[Client]:
    with scratch.client_of(mongodb) as client:
        yield client


@pytest.fixture
def site(mongodb: Server, client: Client, content_place: Callable[..., ContentPlace]) -> Callable[..., Site]:
    """A database of its own for a test; ``more`` goes into the policy's source."""

    def make(server: Server = mongodb, using: Client = client, **more: Any) -> Site:
        name = f"shop{secrets.token_hex(3)}"
        questions = more.pop("questions", ())
        place = content_place(
            {
                "name": "shop", "kind": "mongodb", "connection": "shop", "restore_connection": "shop",
                "databases": [name], "questions": [{"database": name, **question} for question in questions],
                "exclude": [{"collection": f"{name}.cache_*", "why": "rebuilt on start"}], **more,
            },
            connections={"shop": {"host": "127.0.0.1", "port": int(server.address)}},
        )  # fmt: skip
        return Site(using[name], place)

    return make
