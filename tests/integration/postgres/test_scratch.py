"""Scratch servers."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from include.recovery.errors import SourceUnavailable
from include.recovery.postgres.scratch import ScratchServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
Start = Callable[..., ScratchServer]


def runs(pid: int) -> bool:
    """Whether there is such a process, and not just its corpse."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def setting(server: ScratchServer, name: str) -> str:
    with server.server().connect() as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def test_it_is_reachable_through_a_private_socket_only(start_scratch: Start) -> None:
    server = start_scratch("private")
    assert setting(server, "listen_addresses") == ""
    assert not [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    for folder in (server.directory, Path(server.server().host)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with server.server().connect() as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row == (server.target.system_identifier,)


def test_starting_twice_gives_the_same_server_and_attaching_finds_it(start_scratch: Start) -> None:
    server = start_scratch("twice")
    assert start_scratch("twice").pid == server.pid
    assert ScratchServer.attach(server.directory).target == server.target


def test_the_profiles_are_what_they_say(start_scratch: Start) -> None:
    drill, stock = start_scratch("drill"), start_scratch("stock", "stock")
    assert [setting(drill, name) for name in ("fsync", "wal_level", "default_toast_compression")] == [
        "off", "minimal", "lz4",
    ]
    assert [setting(stock, name) for name in ("fsync", "wal_level", "max_wal_size")] == ["on", "replica", "1GB"]


def test_after_a_crash_it_begins_anew(start_scratch: Start) -> None:
    server = start_scratch("crashed")
    os.kill(server.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(server.pid)] if psutil.pid_exists(server.pid) else [], timeout=10)
    again = start_scratch("crashed")
    assert again.pid != server.pid
    assert again.target.system_identifier != server.target.system_identifier


def test_stopping_removes_everything_and_may_be_repeated(start_scratch: Start) -> None:
    server = start_scratch("stopped")
    server.stop()
    server.stop()
    ScratchServer.remove(server.directory)
    assert not server.directory.exists()
    assert not runs(server.pid)
    with pytest.raises(SourceUnavailable):
        ScratchServer.attach(server.directory)


def test_a_number_that_belongs_to_somebody_else_by_now_is_not_killed(start_scratch: Start) -> None:
    server = start_scratch("reused")
    record = server.directory / "scratch.json"
    record.write_text(record.read_text().replace(f'"pid": {server.pid}', f'"pid": {os.getpid()}'))
    ScratchServer.remove(server.directory)  # we are still here, and the server is gone by its folder
    assert not runs(server.pid)


def test_a_long_path_gets_a_short_socket(start_scratch: Start) -> None:
    server = start_scratch("long" + "g" * 100)
    assert len(server.server().host) < 100
    folder = Path(server.server().host)
    server.stop()
    assert not folder.exists()
