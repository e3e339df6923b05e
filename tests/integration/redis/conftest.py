"""Redis servers to back up: Debian's own, on loopback, with a password."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from include.lab.ports import free_ports
from include.recovery.content import scratch_server
from include.recovery.content.scratch_server import Server
from tests.fixtures.content import ContentPlace

PASSWORD = "a very secret pass"
CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{folder}"
databases 16
save ""
repl-diskless-sync-delay 0
requirepass "{password}"
user backup on >"{password}" ~* +psync +sync +replconf +info +ping +select
user nosy on >"{password}" ~* +info +ping +select +get
{more}
"""


@dataclass
class Live:
    """A running server."""

    folder: Path
    server: Server

    @property
    def port(self) -> int:
        return int(self.server.address)

    def client(self, database: int = 0) -> Any:
        return redis.Redis(port=self.port, password=PASSWORD, db=database, protocol=2)


def started(folder: Path, more: Sequence[str] = ()) -> Live:
    scratch_server.fresh(folder)
    (port,) = free_ports(1)  # a node of a cluster also listens 10,000 ports higher
    (folder / "redis.conf").write_text(
        CONFIGURATION.format(port=port, folder=folder, password=PASSWORD, more="\n".join(more))
    )
    server = scratch_server.launch(
        ["redis-server", str(folder / "redis.conf")], folder, str(port), env=dict(os.environ)
    )
    live = Live(folder, server)

    def ready() -> bool:
        try:
            with live.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    scratch_server.wait_until_ready(ready, lambda: server.running, folder, "redis-server")
    return live


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts servers with lines of configuration of their own, and ends them however the test ends."""
    folders: list[Path] = []

    def start(*more: str) -> Live:
        folders.append(tmp_path / f"live-{len(folders)}")
        return started(folders[-1], more)

    yield start
    for folder in folders:
        scratch_server.discard(folder)


@pytest.fixture
def live(start: Callable[..., Live]) -> Live:
    """A server of a test's own."""
    return start()


@pytest.fixture
def place(live: Live, content_place: Callable[..., ContentPlace]) -> ContentPlace:
    """The place that protects it; backups log in as a user that may only copy."""
    return place_of(live, content_place)


def place_of(live: Live, content_place: Callable[..., ContentPlace], **more: Any) -> ContentPlace:
    at = {"host": "127.0.0.1", "port": live.port, "password": PASSWORD}
    return content_place(
        {"name": "state", "kind": "redis", "connection": "state", "restore_connection": "state_restore", **more},
        connections={"state": {**at, "login": "backup"}, "state_restore": at, "state_nosy": {**at, "login": "nosy"},
                     "state_wrong": {**at, "password": "another secret"}},
    )  # fmt: skip


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
