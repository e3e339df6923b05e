"""The process of a scratch server: how it is recorded, found again, and ended with everything that it started."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from include.recovery.errors import LifeboatError
from include.recovery.postgres.scratch_settings import PORT
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import Tools

SUPERUSER = "postgres"
_SOCKET_PATH_LIMIT = 100
_FILE = "scratch.json"


@dataclass(frozen=True)
class Record:
    """What is known about a started server.

    :param started: the postmaster's start in clock ticks since boot, as the kernel knows it.
    :param superuser: by whom it is used; a physically restored cluster has the original's.
    """

    pid: int
    started: int
    system_identifier: str
    socket_directory: str
    bindir: str
    profile: str
    version: str
    superuser: str = SUPERUSER


def recorded(place: Path, server: PostgresServer, pid: int, profile: str, tools: Tools) -> Record:
    """Write down what a server was started as, so that another task finds it.

    :param pid: of the postmaster.
    """
    started = start_time(pid)
    with server.connect() as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_catalog.pg_control_system()").fetchone()
    if row is None or started is None:
        raise LifeboatError(f"the scratch server in {place} ended as soon as it had started; see the free disk space")
    record = Record(pid, started, row[0], server.host, str(tools.bindir), profile, tools.version, server.user)
    new = place / f"{_FILE}.new"
    new.write_text(json.dumps(asdict(record)), encoding="utf-8")
    new.rename(place / _FILE)
    return record


def postmaster(data: Path) -> int:
    """The process id in a data folder's ``postmaster.pid``."""
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def has_begun(data: Path) -> bool:
    """Whether a server has said in its data folder which process it is; the file is there a moment before its text."""
    try:
        return (data / "postmaster.pid").read_text().partition("\n")[1] != ""
    except FileNotFoundError:
        return False


def last_words(log: Path) -> str:
    """What a server's log says in the end, mostly why it ended."""
    return " ".join(log.read_text(errors="replace")[-1500:].split()) if log.exists() else ""


def socket_directory(place: Path) -> str:
    """The private folder of the socket: within the server's, unless its path is too long for a socket."""
    inside = place / "socket"
    if len(str(inside).encode()) + len(f"/.s.PGSQL.{PORT}") <= _SOCKET_PATH_LIMIT and "'" not in str(inside):
        inside.mkdir(mode=0o700, exist_ok=True)
        return str(inside)
    short = short_socket_directory(place)
    shutil.rmtree(short, ignore_errors=True)
    short.mkdir(mode=0o700)
    return str(short)


def short_socket_directory(place: Path) -> Path:
    """Where the socket is when the path of a server's own folder is too long for one."""
    name = hashlib.sha256(str(place).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lifeboat-{os.geteuid()}-{name}"


def read(place: Path) -> Record | None:
    """What is recorded in a folder; None when nothing is, or nothing that can be read."""
    try:
        return Record(**json.loads((place / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_running(record: Record) -> bool:
    """Whether the process is still the one that was recorded."""
    return start_time(record.pid) == record.started


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none (or only its corpse)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def remove(place: Path, record: Record | None) -> None:
    """End every process of the server in a folder, then remove the folder."""
    halt(place, record)
    if record is not None and not Path(record.socket_directory).is_relative_to(place):
        shutil.rmtree(record.socket_directory, ignore_errors=True)
    shutil.rmtree(short_socket_directory(place), ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)


def halt(place: Path, record: Record | None, *, shut_down_seconds: float = 0) -> None:
    """End every process of the server in a folder.

    :param shut_down_seconds: time for a regular shutdown before it is ended by force; 0 ends it at once.
    """
    data = place / "data"
    if record is not None and is_running(record) and shut_down_seconds:
        os.kill(record.pid, signal.SIGINT)
        wait_until(lambda: not is_running(record), shut_down_seconds)
    if record is not None and is_running(record):
        os.kill(record.pid, signal.SIGQUIT)
        wait_until(lambda: not is_running(record), 10)
    # A killed postmaster's backends end by themselves, soon; one that computes does not look up. They work somewhere
    # in our folder, which is how they are known.
    left: list[int] = []
    for _ in range(50):
        left = processes_in(place)
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    if not left:
        # A server that was killed leaves these, and the next one in this folder would take it for a running one: as
        # long as nobody has reaped the dead postmaster, its process id answers.
        (data / "postmaster.pid").unlink(missing_ok=True)
        for folder in (place / "socket", short_socket_directory(place)):
            for stale in folder.glob(".s.PGSQL.*"):
                stale.unlink(missing_ok=True)


def processes_in(place: Path, program: str = "postgres") -> list[int]:
    """Processes of a program (by how its name begins) whose working directory is this folder, or one in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inside = (entry / "cwd").readlink().is_relative_to(place)
                if inside and (entry / "exe").readlink().name.startswith(program):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so, or for so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
