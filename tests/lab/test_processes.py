"""Servers are stopped by recorded process: all of ours, nobody else's, whatever has happened to them meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.lab.errors import LabError
from include.lab.guard import start_guard
from include.lab.ports import free_ports, listens, wait_for
from include.lab.processes import Registry

SLEEP = ("sleep", "300")
LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(300)"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "run", tmp_path / "logs")


def test_a_server_is_started_once_and_stopped(registry: Registry) -> None:
    first = registry.start("one", SLEEP)
    assert registry.start("one", SLEEP) == first
    assert registry.alive("one")
    assert registry.stop("one")
    assert not _exists(first.pid)
    assert not registry.stop("one")


def test_the_last_started_is_stopped_first(registry: Registry) -> None:
    for name in ("storage", "gateway", "application"):
        registry.start(name, SLEEP)
    assert registry.stop_all() == ["application", "gateway", "storage"]


def test_children_are_stopped_after_their_leader_was_killed(registry: Registry, tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/child; wait"
    leader = registry.start("parent", ["sh", "-c", script])
    child = _number_in(tmp_path / "child")
    os.kill(leader.pid, signal.SIGKILL)
    _wait_until_gone(leader.pid)
    assert not registry.alive("parent")
    assert _exists(child)
    assert registry.stop("parent")
    assert not _exists(child)


def test_a_child_that_ignores_requests_is_killed(registry: Registry, tmp_path: Path) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/ready; while :; do sleep 0.1; done"
    stubborn = registry.start("stubborn", ["sh", "-c", script])
    _number_in(tmp_path / "ready")
    assert registry.stop("stubborn", seconds=0.3)
    assert not _exists(stubborn.pid)


def test_a_stranger_with_the_same_process_id_is_left_alone(registry: Registry) -> None:
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    time.sleep(0.05)  # start times have ticks of 10 ms
    ours = registry.start("ours", SLEEP)
    path = registry.directory / "ours.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": stranger.pid}))
    alive, stopped, survived = registry.alive("ours"), registry.stop("ours"), stranger.poll() is None
    stranger.kill()
    stranger.wait()
    os.kill(ours.pid, signal.SIGKILL)
    assert (alive, stopped, survived) == (False, False, True)


def test_nothing_of_an_earlier_boot_is_taken_for_ours(registry: Registry) -> None:
    ours = registry.start("ours", SLEEP)
    path = registry.directory / "ours.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    assert not registry.stop("ours")
    assert _exists(ours.pid)
    os.kill(ours.pid, signal.SIGKILL)


def test_the_guard_stops_servers_when_its_starter_is_killed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    guarded = tmp_path / "session"
    registry = Registry(guarded / "run")
    guard = start_guard(guarded)
    assert guard.stdin is not None
    registry.start("server", [sys.executable, "-c", LISTEN, str(port)])
    wait_for("server", lambda: listens(port), seconds=10, alive=lambda: registry.alive("server"))
    guard.stdin.close()  # the kernel does the same when the starter dies
    assert guard.wait(timeout=20) == 0
    assert not listens(port)
    assert not guarded.exists()


def test_waiting_names_the_server_that_ended(registry: Registry) -> None:
    registry.start("brief", ["sleep", "0.3"])
    with pytest.raises(LabError, match=r"brief ended while it was starting; see .*brief\.log"):
        wait_for(
            "brief", lambda: False, seconds=5, alive=lambda: registry.alive("brief"), log=str(registry.log("brief"))
        )


def _exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 5
    while _exists(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def _number_in(path: Path) -> int:
    until = time.monotonic() + 5
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return int(path.read_text())
