"""Starting servers and stopping exactly those again: by recorded process, never by name.

Each server leads a session of its own. What is recorded is its process id with its start time and the boot it belongs
to, so that a reused process id is never taken for ours. The kernel gives no new process the id of a session that still
has members; hence everything in that session is ours, also after its leader has died.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from include.lab.errors import LabError


@dataclass(frozen=True)
class Recorded:
    """A process that was started.

    :param started: clock ticks after boot, from ``/proc/<pid>/stat``.
    :param boot: the kernel's id of this boot.
    :param order: grows with each start; servers are stopped in the opposite order.
    :param stop_signal: what asks it to end in good order.
    """

    name: str
    pid: int
    started: int
    boot: str
    order: int
    stop_signal: int


@dataclass(frozen=True)
class _Stat:
    pid: int
    state: str
    session: int
    started: int


class Registry:
    """The servers that were started from one directory.

    :param directory: holds one ``<name>.json`` for each server; made when missing.
    :param logs: holds one ``<name>.log`` for each server.
    """

    def __init__(self, directory: Path, logs: Path | None = None) -> None:
        self.directory = directory
        self.logs = logs or directory
        directory.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)

    def log(self, name: str) -> Path:
        """Where a server's output goes."""
        return self.logs / f"{name}.log"

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Recorded:
        """Start a server in a session of its own, its output in its log, unless it runs already."""
        if running := self.running(name):
            return running
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in argv],
                env=dict(env) if env is not None else None,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        stat = _stat(process.pid)
        process.returncode = 0  # ours to reap in _stat(): Popen must not warn about a process that lives on
        if stat is None:
            raise LabError(f"{name} ended at once; see {self.log(name)}")
        recorded = Recorded(name, stat.pid, stat.started, _boot(), time.monotonic_ns(), stop_signal)
        path = self._path(name)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(recorded)), encoding="utf-8")
        temporary.rename(path)
        return recorded

    def running(self, name: str) -> Recorded | None:
        """The recorded process when it, and no other of its id, is alive."""
        recorded = self._read(self._path(name))
        if recorded is None or not _leader_alive(recorded):
            return None
        return recorded

    def alive(self, name: str) -> bool:
        """Whether the recorded process runs."""
        return self.running(name) is not None

    def names(self) -> list[str]:
        """All servers on record, the one started last first."""
        records = [record for path in self.directory.glob("*.json") if (record := self._read(path))]
        return [record.name for record in sorted(records, key=lambda record: -record.order)]

    def stop(self, name: str, *, seconds: float = 20) -> bool:
        """End a server and everything in its session; true when something was running.

        :param seconds: how long it may take to end in good order before it is killed.
        """
        path = self._path(name)
        recorded = self._read(path)
        if recorded is None:
            return False
        found = bool(_members(recorded))
        if _leader_alive(recorded):
            _send([recorded.pid], signal.Signals(recorded.stop_signal))
            _wait_until(lambda: not _leader_alive(recorded), seconds)
        _send(_members(recorded), signal.SIGTERM)
        if not _wait_until(lambda: not _members(recorded), 3):
            _send(_members(recorded), signal.SIGKILL)
            _wait_until(lambda: not _members(recorded), 5)
        if left := _members(recorded):
            raise LabError(f"{name}: processes {left} did not end; look at them with ps")
        path.unlink(missing_ok=True)
        return found

    def processes(self, name: str) -> list[int]:
        """The living processes of a server's session."""
        recorded = self._read(self._path(name))
        return _members(recorded) if recorded else []

    def names_running(self) -> list[str]:
        """Those on record that run, the one started last first."""
        return [name for name in self.names() if self.alive(name)]

    def stop_all(self, *, seconds: float = 20) -> list[str]:
        """End every server on record, last started first; the names of those that were running."""
        return [name for name in self.names() if self.stop(name, seconds=seconds)]

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    @staticmethod
    def _read(path: Path) -> Recorded | None:
        try:
            return Recorded(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _stat(pid: int) -> _Stat | None:
    """A process's line in /proc; None when it is gone. A zombie of ours is reaped and counts as gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    return _Stat(pid=pid, state=fields[0], session=int(fields[3]), started=int(fields[19]))


def _leader_alive(recorded: Recorded) -> bool:
    stat = _stat(recorded.pid)
    return stat is not None and stat.started == recorded.started and recorded.boot == _boot()


def _members(recorded: Recorded) -> list[int]:
    """Living processes of the server's session; none when its process id belongs to somebody else by now."""
    if recorded.boot != _boot():
        return []
    leader = _stat(recorded.pid)
    if leader is not None and leader.started != recorded.started:
        return []
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [stat.pid for number in numbers if (stat := _stat(number)) and stat.session == recorded.pid]


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_until(done: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
