"""A throw-away server for drills: reachable only through a unix socket in a private folder.

It is made empty (``start``), or over a cluster that pgBackRest has restored (``start_restored``).

It outlives the task that starts it (setup, restore and teardown are tasks of their own), so it is found again by what
is recorded in its folder. Before a process is touched its start time is compared with the record: a number may belong
to somebody else by now. Starting twice gives the same server; stopping always works, also after ``kill -9``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from include.recovery.errors import LifeboatError, SourceUnavailable, ToolFailed
from include.recovery.postgres import commands
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import Tools, find, major_of
from include.recovery.processes import run_tool
from include.recovery.runbook.target import ScratchTarget

Profile = Literal["drill", "stock"]
SUPERUSER = "postgres"
PORT = 5432
_SOCKET_PATH_LIMIT = 100
_START_SECONDS = 60
_RECORD = "scratch.json"
_COMMON = {"listen_addresses": "''", "port": str(PORT), "unix_socket_permissions": "0700", "max_connections": "50",
           "logging_collector": "off", "track_commit_timestamp": "on"}
_ALONE = {
    # A physical copy has the original's settings and believes that it is the original.
    "listen_addresses": "", "unix_socket_permissions": "0700", "archive_mode": "off", "ssl": "off",
    "logging_collector": "off", "log_destination": "stderr", "primary_conninfo": "", "primary_slot_name": "",
    "synchronous_standby_names": "", "max_logical_replication_workers": "0", "hot_standby": "off",
    "shared_preload_libraries": "", "huge_pages": "try",
}
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
         "max_wal_size": "16GB", "checkpoint_timeout": "1h", "maintenance_work_mem": "256MB"}
_CONTROLLED = {
    "max_connections setting": "max_connections", "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders", "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
    "track_commit_timestamp setting": "track_commit_timestamp",
}
_DRILL = {
    # Built for speed: after a crash this server is thrown away, never recovered.
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal",
    "max_wal_senders": "0", "max_wal_size": "16GB", "checkpoint_timeout": "1h", "autovacuum": "off",
    "wal_buffers": "64MB", "maintenance_work_mem": "512MB",
}


@dataclass(frozen=True)
class _Record:
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


class ScratchServer:
    """A running scratch server. Made by ``start`` and ``attach``."""

    def __init__(self, directory: Path, record: _Record) -> None:
        self.directory = directory
        self._record = record

    @classmethod
    def start(cls, directory: Path | str, profile: Profile = "drill", *, major: int = 15) -> ScratchServer:
        """Start a server in a folder, or return the one that runs there.

        :param profile: ``drill`` for speed without durability, ``stock`` for PostgreSQL's own defaults, whose restore
            times say something about production.
        :param major: at least this version; the nearest installed one is taken.
        :raises LifeboatError: when run as root, when no server of that version is installed, when it does not start.
        """
        if os.geteuid() == 0:
            raise LifeboatError(
                "a scratch server cannot be started as root, PostgreSQL refuses that; run Lifeboat as an unprivileged "
                "user such as postgres"
            )
        place = Path(directory).absolute()
        record = _read(place)
        if record is not None and _is_running(record):
            return cls(place, record)
        # What is left of a server that died is worth nothing: it was never durable.
        _remove(place, record)
        place.mkdir(mode=0o700, parents=True)
        try:
            return cls(place, _start(place, profile, find(major, tool="postgres")))
        except BaseException:
            _remove(place, None)
            raise

    @classmethod
    def start_restored(
        cls,
        directory: Path | str,
        profile: Profile = "drill",
        *,
        major: int,
        superuser: str = SUPERUSER,
        settings: Mapping[str, str] | None = None,
        wait: float = 3600,
    ) -> ScratchServer:
        """Start a server over the cluster that a physical restore has put into ``directory/data``.

        Returns when its recovery has ended and it takes connections. It sends nothing anywhere: no archiving, no
        replication, no network; the settings of the original that only fit the original's host are not used.

        :param superuser: of the original.
        :param settings: more, such as ``shared_preload_libraries``; they win over everything.
        :param wait: seconds for the recovery.
        :raises LifeboatError: when it ends early or takes longer, with the last words of its log. The folder stays.
        """
        place = Path(directory).absolute()
        record = _read(place)
        if record is not None and _is_running(record):
            return cls(place, record)
        tools = find(major, tool="postgres")
        return cls(place, _start_restored(place, profile, tools, superuser, settings or {}, wait))

    def halt(self) -> None:
        """End the server and keep its folder, so that a delta restore can use what is there."""
        _halt(self.directory, self._record)

    @classmethod
    def attach(cls, directory: Path | str) -> ScratchServer:
        """The server that runs in a folder.

        :raises SourceUnavailable: when none runs there (any more).
        """
        place = Path(directory).absolute()
        record = _read(place)
        if record is None or not _is_running(record):
            raise SourceUnavailable(
                f"no scratch server runs in {place} on {os.uname().nodename}; it has died or was stopped: run the "
                f"drill again from its start"
            )
        return cls(place, record)

    @classmethod
    def remove(cls, directory: Path | str) -> None:
        """Stop whatever server is in a folder and remove the folder. Nothing there is fine too."""
        place = Path(directory).absolute()
        _remove(place, _read(place))

    def stop(self) -> None:
        """Stop the server and remove its folder; nothing happens when both are gone already."""
        _remove(self.directory, self._record)

    def server(self, database: str = "postgres") -> PostgresServer:
        """How to reach it, as its superuser."""
        return PostgresServer(
            host=self._record.socket_directory, port=PORT, user=self._record.superuser, database=database
        )

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return self._record.pid

    @property
    def profile(self) -> str:
        """``drill`` or ``stock``."""
        return self._record.profile

    @property
    def version(self) -> str:
        """Of the server."""
        return self._record.version

    @property
    def target(self) -> ScratchTarget:
        """What the interlock compares with, before anything is restored."""
        return ScratchTarget(
            directory=self._record.socket_directory, system_identifier=self._record.system_identifier
        )


def _start(place: Path, profile: Profile, tools: Tools) -> _Record:
    data, log = place / "data", place / "server.log"
    sockets = _socket_directory(place)
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(place)}
    try:
        run_tool(commands.init_cluster(tools, str(data), superuser=SUPERUSER), env=env)
        settings = {**_COMMON, "unix_socket_directories": f"'{sockets}'"}
        if profile == "drill":
            settings |= {**_DRILL, "shared_buffers": _shared_buffers()} | _lz4(tools, env)
        with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        run_tool(commands.start_cluster(tools, str(data), str(log), wait=_START_SECONDS), env=env)
    except ToolFailed as error:
        tail = log.read_text(errors="replace")[-1000:] if log.exists() else ""
        raise LifeboatError(f"the scratch server in {place} does not start: {error} {tail}".strip()) from error
    server = PostgresServer(host=sockets, port=PORT, user=SUPERUSER)
    return _recorded(place, server, _postmaster(data), profile, tools)


def _start_restored(
    place: Path, profile: Profile, tools: Tools, superuser: str, settings: Mapping[str, str], wait: float
) -> _Record:
    data, log, sockets = place / "data", place / "server.log", _socket_directory(place)
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(place)}
    for name, text in {"postgresql.conf": "", "pg_ident.conf": "", "pg_hba.conf": "local all all trust\n"}.items():
        (place / name).write_text(text, encoding="utf-8")
    quiet = {
        **_ALONE,
        **_needed_by_recovery(tools, data, env),
        **({**_FAST, "shared_buffers": _shared_buffers()} if profile == "drill" else {}),
        "data_directory": str(data),
        "config_file": str(place / "postgresql.conf"),
        "hba_file": str(place / "pg_hba.conf"),
        "ident_file": str(place / "pg_ident.conf"),
        "unix_socket_directories": sockets,
        "port": str(PORT),
        **settings,
    }
    log.unlink(missing_ok=True)
    try:
        run_tool(commands.start_cluster(tools, str(data), str(log), wait=None, settings=quiet), env=env)
        _wait_until((data / "postmaster.pid").exists, _START_SECONDS)
        pid = _postmaster(data)
    except (ToolFailed, OSError, ValueError) as error:
        raise LifeboatError(f"the restored server in {place} does not start: {_last_words(log) or error}") from error
    server = PostgresServer(host=sockets, port=PORT, user=superuser)
    end = time.monotonic() + wait
    while True:
        try:
            with server.connect(timeout=5):
                break
        except SourceUnavailable as error:
            if _start_time(pid) is None:
                said = _last_words(log)
                raise LifeboatError(f"the restored server in {place} ended in its recovery: {said}") from error
            if time.monotonic() > end:
                os.kill(pid, signal.SIGQUIT)
                raise SourceUnavailable(
                    f"the restored server in {place} has not recovered within {wait:.0f} s: {_last_words(log)}"
                ) from error
            time.sleep(0.2)
    return _recorded(place, server, pid, profile, tools)


def _needed_by_recovery(tools: Tools, data: Path, env: dict[str, str]) -> dict[str, str]:
    """The sizes that recovery needs at least, as the original had them."""
    said = run_tool(commands.control_data(tools, str(data)), env=env).decode()
    lines = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return {name: lines[key].strip() for key, name in _CONTROLLED.items() if key in lines}


def _recorded(place: Path, server: PostgresServer, pid: int, profile: Profile, tools: Tools) -> _Record:
    started = _start_time(pid)
    with server.connect() as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_catalog.pg_control_system()").fetchone()
    if row is None or started is None:
        raise LifeboatError(f"the scratch server in {place} ended as soon as it had started; see the free disk space")
    record = _Record(pid, started, row[0], server.host, str(tools.bindir), profile, tools.version, server.user)
    new = place / f"{_RECORD}.new"
    new.write_text(json.dumps(asdict(record)), encoding="utf-8")
    new.rename(place / _RECORD)
    return record


def _postmaster(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def _last_words(log: Path) -> str:
    """What a server's log says in the end, mostly why it ended."""
    return " ".join(log.read_text(errors="replace")[-1500:].split()) if log.exists() else ""


def _socket_directory(place: Path) -> str:
    """The private folder of the socket: within the server's, unless its path is too long for a socket."""
    inside = place / "socket"
    if len(str(inside).encode()) + len(f"/.s.PGSQL.{PORT}") <= _SOCKET_PATH_LIMIT and "'" not in str(inside):
        inside.mkdir(mode=0o700, exist_ok=True)
        return str(inside)
    short = _short_socket_directory(place)
    shutil.rmtree(short, ignore_errors=True)
    short.mkdir(mode=0o700)
    return str(short)


def _short_socket_directory(place: Path) -> Path:
    name = hashlib.sha256(str(place).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lifeboat-{os.geteuid()}-{name}"


def _shared_buffers() -> str:
    """A gigabyte, or an eighth of a small machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{max(64, min(1024, memory // 8 // 1024**2))}MB"


def _lz4(tools: Tools, env: dict[str, str]) -> dict[str, str]:
    """lz4 for long values, where this server was built with it: a fifth less work than pglz."""
    if not tools.has("pg_config"):
        return {}
    built = run_tool([tools.path("pg_config"), "--configure"], env=env).decode()
    return {"default_toast_compression": "lz4"} if "--with-lz4" in built and tools.major >= 14 else {}


def _read(place: Path) -> _Record | None:
    try:
        return _Record(**json.loads((place / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _is_running(record: _Record) -> bool:
    return _start_time(record.pid) == record.started


def _start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none (or only its corpse)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _remove(place: Path, record: _Record | None) -> None:
    """End every process of the server in a folder, then remove the folder."""
    _halt(place, record)
    if record is not None and not Path(record.socket_directory).is_relative_to(place):
        shutil.rmtree(record.socket_directory, ignore_errors=True)
    shutil.rmtree(_short_socket_directory(place), ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)


def _halt(place: Path, record: _Record | None) -> None:
    """End every process of the server in a folder."""
    data = place / "data"
    if record is not None and _is_running(record):
        os.kill(record.pid, signal.SIGQUIT)
        _wait_until(lambda: not _is_running(record), 10)
    # A killed postmaster's backends end by themselves, soon; one that computes does not look up. They work in our
    # data folder, which is how they are known.
    left: list[int] = []
    for _ in range(50):
        left = _processes_in(data)
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    if not left:
        # A server that was killed leaves it, and the next restore into this folder would take it for a running one.
        (data / "postmaster.pid").unlink(missing_ok=True)


def _processes_in(data: Path) -> list[int]:
    """PostgreSQL's processes whose working directory is this data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == data and (entry / "exe").readlink().name.startswith("postgres"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)


def version_needed(server_version: str) -> int:
    """The major version that a scratch server needs for a backup taken from this server version."""
    return major_of(server_version)
