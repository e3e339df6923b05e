"""A server that a copy needs, in the copy's folder: started, found again by another task, ended.

It outlives the task that starts it, as restoring, comparing and discarding are tasks of their own. So it is recorded in
its folder with its start time, and is only touched while that still fits: a number may belong to somebody else by now.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from include.recovery.errors import LifeboatError
from include.recovery.postgres.scratch_process import (
    last_words,
    processes_in,
    short_socket_directory,
    start_time,
    wait_until,
)
from include.recovery.processes import Child

_FILE, _PID, LOG = "process.json", "process.pid", "process.log"
# The shell becomes the server, so the number that it notes stays right.
_START = 'cd "$1" && echo $$ >"$2" && shift 2 && exec "$@" </dev/null >>process.log 2>&1'
_ALONE = 'ip link set lo up && mount -t tmpfs tmpfs /var/log && exec "$@"'


@dataclass(frozen=True)
class ScratchProcess:
    """A server that was started in a folder.

    :param started: in clock ticks since boot, as the kernel knows it.
    :param program: name of its executable.
    """

    pid: int
    started: int
    program: str

    @property
    def running(self) -> bool:
        """Whether it is still the process that was started."""
        return start_time(self.pid) == self.started


def start(
    place: Path, argv: Sequence[str], *, env: Mapping[str, str], alone: bool = False, seconds: float = 10
) -> ScratchProcess:
    """Start a server that works in a folder; what it says goes to ``process.log`` there.

    :param place: exists.
    :param argv: begins with the absolute path of its program.
    :param alone: without any network but a loopback of its own, and with an empty ``/var/log``: it reaches nobody, and
        is reached through a unix socket only.
    :param seconds: for it to come to life, not to be ready.
    :raises LifeboatError: when it ends at once, with its last words.
    """
    found = attach(place)
    if found is not None:
        return found
    number = place / _PID
    number.unlink(missing_ok=True)
    apart = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--", "sh", "-c", _ALONE, "sh"]
    words = [*(apart if alone else []), *argv]
    with Child(["setsid", "--fork", "sh", "-c", _START, "sh", str(place), _PID, *words], env=env) as child:
        child.check()
    wait_until(lambda: number.exists() and number.read_text().endswith("\n"), seconds)
    pid = int(number.read_text()) if number.exists() else 0
    started = start_time(pid) if pid else None
    program = Path(argv[0]).resolve().name
    if started is None:
        raise LifeboatError(f"{program} in {place} ended as soon as it was started: {last_words(place / LOG)}")
    process = ScratchProcess(pid, started, program)
    new = place / f"{_FILE}.new"
    new.write_text(json.dumps(asdict(process)), encoding="utf-8")
    new.rename(place / _FILE)
    return process


def attach(place: Path) -> ScratchProcess | None:
    """The server that runs in a folder; None when none does (any more)."""
    found = _recorded(place)
    return found if found is not None and found.running else None


def wait_ready(place: Path, process: ScratchProcess, ready: Callable[[], bool], *, seconds: float = 60) -> None:
    """Return when a server is ready.

    :raises LifeboatError: when it has ended or takes longer, with its last words.
    """
    end = time.monotonic() + seconds
    while not ready():
        if not process.running:
            raise LifeboatError(f"{process.program} in {place} ended while it started: {last_words(place / LOG)}")
        if time.monotonic() > end:
            said = last_words(place / LOG)
            raise LifeboatError(f"{process.program} in {place} is not ready after {seconds:.0f} s: {said}")
        time.sleep(0.05)


def end(place: Path, *, grace: float = 10) -> None:
    """End the server of a folder. Nothing there is fine too.

    :param grace: seconds for it to end by itself, before it is ended by force; 0 ends it at once.
    """
    process = _recorded(place)
    if process is None:
        return
    if process.running and grace:
        _send(process.pid, signal.SIGTERM)
        wait_until(lambda: not process.running, grace)
    if process.running:
        _send(process.pid, signal.SIGKILL)
        wait_until(lambda: not process.running, 10)
    for pid in processes_in(place, process.program):
        _send(pid, signal.SIGKILL)


def remove(place: Path) -> None:
    """End the server of a folder and remove the folder. Nothing there is fine too."""
    end(place, grace=0)
    shutil.rmtree(short_socket_directory(place), ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)


def free_port() -> int:
    """One of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _recorded(place: Path) -> ScratchProcess | None:
    try:
        return ScratchProcess(**json.loads((place / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
