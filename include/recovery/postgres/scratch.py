"""A throw-away server for drills: reachable only through a unix socket in a private folder.

It is made empty (``start``), or over a cluster that pgBackRest has restored (``start_restored``).

It outlives the task that starts it (setup, restore and teardown are tasks of their own), so it is found again by what
is recorded in its folder. Before a process is touched its start time is compared with the record: a number may belong
to somebody else by now. Starting twice gives the same server; stopping always works, also after ``kill -9``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from include.recovery.errors import LifeboatError, SourceUnavailable, ToolFailed
from include.recovery.postgres import commands
from include.recovery.postgres.scratch_process import (
    SUPERUSER,
    Record,
    halt,
    has_begun,
    is_running,
    last_words,
    postmaster,
    read,
    recorded,
    remove,
    socket_directory,
    start_time,
    wait_until,
)
from include.recovery.postgres.scratch_settings import (
    ALONE,
    COMMON,
    DRILL,
    FAST,
    PORT,
    lz4,
    needed_by_recovery,
    shared_buffers,
)
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import Tools, find, major_of
from include.recovery.processes import run_tool
from include.recovery.runbook.target import ScratchTarget

Profile = Literal["drill", "stock"]
_START_SECONDS = 60


class ScratchServer:
    """A running scratch server. Made by ``start`` and ``attach``."""

    def __init__(self, directory: Path, record: Record) -> None:
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
        record = read(place)
        if record is not None and is_running(record):
            return cls(place, record)
        # What is left of a server that died is worth nothing: it was never durable.
        remove(place, record)
        place.mkdir(mode=0o700, parents=True)
        try:
            return cls(place, _start(place, profile, find(major, tool="postgres")))
        except BaseException:
            remove(place, None)
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

        Returns when its recovery has ended and it takes connections; a standby (with ``hot_standby`` on in the
        settings) as soon as it is consistent. It sends nothing anywhere: no archiving, no replication, no network; the
        settings of the original that only fit the original's host are not used.

        :param superuser: of the original.
        :param settings: more, such as ``shared_preload_libraries``; they win over everything.
        :param wait: seconds for the recovery.
        :raises LifeboatError: when it ends early or takes longer, with the last words of its log. The folder stays.
        """
        place = Path(directory).absolute()
        record = read(place)
        if record is not None and is_running(record):
            return cls(place, record)
        tools = find(major, tool="postgres")
        return cls(place, _start_restored(place, profile, tools, superuser, settings or {}, wait))

    def halt(self) -> None:
        """End the server and keep its folder, so that a delta restore can use what is there."""
        halt(self.directory, self._record)

    def shut_down(self, seconds: float = 300) -> Path:
        """End the server in good order and keep its folder, so that its files can be checked.

        :param seconds: for its shutdown, before it is ended by force.
        :return: its data folder.
        """
        halt(self.directory, self._record, shut_down_seconds=seconds)
        return self.directory / "data"

    @classmethod
    def attach(cls, directory: Path | str) -> ScratchServer:
        """The server that runs in a folder.

        :raises SourceUnavailable: when none runs there (any more).
        """
        place = Path(directory).absolute()
        record = read(place)
        if record is None or not is_running(record):
            raise SourceUnavailable(
                f"no scratch server runs in {place} on {os.uname().nodename}; it has died or was stopped: run the "
                f"drill again from its start"
            )
        return cls(place, record)

    @classmethod
    def remove(cls, directory: Path | str) -> None:
        """Stop whatever server is in a folder and remove the folder. Nothing there is fine too."""
        place = Path(directory).absolute()
        remove(place, read(place))

    @classmethod
    def end(cls, directory: Path | str) -> None:
        """End whatever server is in a folder and keep the folder. Nothing there is fine too."""
        place = Path(directory).absolute()
        halt(place, read(place))

    def stop(self) -> None:
        """Stop the server and remove its folder; nothing happens when both are gone already."""
        remove(self.directory, self._record)

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


def _start(place: Path, profile: Profile, tools: Tools) -> Record:
    data, log = place / "data", place / "server.log"
    sockets = socket_directory(place)
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(place)}
    try:
        run_tool(commands.init_cluster(tools, str(data), superuser=SUPERUSER), env=env)
        settings = {**COMMON, "unix_socket_directories": f"'{sockets}'"}
        if profile == "drill":
            settings |= {**DRILL, "shared_buffers": shared_buffers()} | lz4(tools, env)
        with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        run_tool(commands.start_cluster(tools, str(data), str(log), wait=_START_SECONDS), env=env)
    except ToolFailed as error:
        tail = log.read_text(errors="replace")[-1000:] if log.exists() else ""
        raise LifeboatError(f"the scratch server in {place} does not start: {error} {tail}".strip()) from error
    server = PostgresServer(host=sockets, port=PORT, user=SUPERUSER)
    return recorded(place, server, postmaster(data), profile, tools)


def _start_restored(
    place: Path, profile: Profile, tools: Tools, superuser: str, settings: Mapping[str, str], wait: float
) -> Record:
    data, log, sockets = place / "data", place / "server.log", socket_directory(place)
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(place)}
    for name, text in {"postgresql.conf": "", "pg_ident.conf": "", "pg_hba.conf": "local all all trust\n"}.items():
        (place / name).write_text(text, encoding="utf-8")
    quiet = {
        **ALONE,
        **needed_by_recovery(tools, data, env),
        **({**FAST, "shared_buffers": shared_buffers()} if profile == "drill" else {}),
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
        wait_until(lambda: has_begun(data), _START_SECONDS)
        pid = postmaster(data)
    except (ToolFailed, OSError, ValueError) as error:
        raise LifeboatError(f"the restored server in {place} does not start: {last_words(log) or error}") from error
    server = PostgresServer(host=sockets, port=PORT, user=superuser)
    end = time.monotonic() + wait
    while True:
        try:
            with server.connect(timeout=5):
                break
        except SourceUnavailable as error:
            if start_time(pid) is None:
                said = last_words(log)
                raise LifeboatError(f"the restored server in {place} ended in its recovery: {said}") from error
            if time.monotonic() > end:
                os.kill(pid, signal.SIGQUIT)
                raise SourceUnavailable(
                    f"the restored server in {place} has not recovered within {wait:.0f} s: {last_words(log)}"
                ) from error
            time.sleep(0.1)
    return recorded(place, server, pid, profile, tools)


def version_needed(server_version: str) -> int:
    """The major version that a scratch server needs for a backup taken from this server version."""
    return major_of(server_version)
