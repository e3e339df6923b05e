"""Servers that a restore starts in a copy's folder: they outlive the task, are found again, and end by process id.

The start time of the process is recorded beside its id, so that a process id that was given to another one since is
never taken for the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from include.recovery.errors import CopyLost, LifeboatError

_FILE = "server.json"
LOG = "server.log"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A started one.

    :param started: its start in clock ticks since boot, as the kernel knows it.
    :param address: a loopback port, or the path of a unix socket.
    :param prefixes: of the selection that was restored; empty means everything.
    """

    tool: str
    pid: int
    started: int
    address: str
    prefixes: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the process is still the one that was recorded."""
        return _start_time(self.pid) == self.started


def fresh(folder: Path) -> None:
    """An empty folder that only we may look into; what an earlier try left is ended and removed."""
    discard(folder)
    folder.mkdir(mode=0o700)


def launch(
    argv: Sequence[str], folder: Path, address: str, *, env: Mapping[str, str], prefixes: tuple[str, ...] = ()
) -> Server:
    """Start a server in a session of its own and record it; its output goes to ``server.log`` in the folder.

    :raises LifeboatError: when the program is not installed.
    """
    program = shutil.which(argv[0], path=env.get("PATH"))
    if program is None:
        raise LifeboatError(f"{argv[0]} is not on PATH; it is needed to restore to a copy")
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            program, list(argv), dict(env), setsid=True,
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, log, 1),
                          (os.POSIX_SPAWN_DUP2, log, 2)],
        )  # fmt: skip
    finally:
        os.close(log)
        os.close(nothing)
    server = Server(Path(argv[0]).name, pid, _start_time(pid) or 0, address, prefixes)
    new = folder / f"{_FILE}.new"
    new.write_text(json.dumps(asdict(server)), encoding="utf-8")
    new.rename(folder / _FILE)
    return server


def wait_until_ready(ready: Callable[[], bool], running: Callable[[], bool], folder: Path, tool: str) -> None:
    """Wait for a server's first answer; loading is progress, so only an ended or a silent one is given up.

    :raises LifeboatError: with the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if not running() or time.monotonic() > deadline:
            raise LifeboatError(f"{tool} did not start in {folder}: {last_words(folder)}")
        pause()


def pause() -> None:
    """Between two looks at a server."""
    time.sleep(0.02)


def running(folder: Path) -> Server:
    """The server of a copy.

    :raises CopyLost: when it has ended, or never was.
    """
    server = recorded(folder)
    if server is None or not server.running:
        raise CopyLost(f"the server of the copy in {folder} is gone; restore the backup again")
    return server


def recorded(folder: Path) -> Server | None:
    """What is written down in a folder, running or not."""
    try:
        fields = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return Server(**fields | {"prefixes": tuple(fields["prefixes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def last_words(folder: Path) -> str:
    """What a server's log says in the end."""
    log = folder / LOG
    return " ".join(log.read_text(errors="replace")[-1500:].split()) if log.exists() else "it wrote no log"


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def discard(folder: Path) -> None:
    """End the server of a folder and remove the folder. Nothing there is fine too."""
    server = recorded(folder)
    if server is not None:
        end(server)
    shutil.rmtree(folder, ignore_errors=True)


def end(server: Server) -> None:
    """End a server, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not server.running:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.pid, number)
        deadline = time.monotonic() + 5
        while server.running and time.monotonic() < deadline:
            time.sleep(0.02)
    with contextlib.suppress(ChildProcessError):  # where we started it ourselves, its corpse is ours to bury
        os.waitpid(server.pid, os.WNOHANG)


def _start_time(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
