"""A server stopped and started the way its host does it, by argv lists that the cluster's connection names.

    "extra": {
      "data_directory": "/var/lib/postgresql/15/main",
      "stop":  ["sudo", "systemctl", "stop", "postgresql@15-main"],
      "start": ["sudo", "systemctl", "start", "postgresql@15-main"]
    }

They are lists of words, never a line for a shell. Clients find the server again because it is the same service with the
same configuration, not one that Lifeboat has started itself.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import PolicyError, SourceError, SourceUnavailable, ToolFailed
from include.recovery.postgres.scratch_process import wait_until
from include.recovery.postgres.server import PostgresServer
from include.recovery.processes import Child

_log = logging.getLogger(__name__)

STOP_SECONDS = 600.0
"""A fast shutdown waits until the last segment is archived."""
START_SECONDS = 300.0
_QUIT_SECONDS = 15.0
_GONE = " (deleted)"
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LD_LIBRARY_PATH", "TMPDIR", "XDG_RUNTIME_DIR",
              "DBUS_SESSION_BUS_ADDRESS")
_EXAMPLE = {
    "data_directory": '"/var/lib/postgresql/15/main"',
    "stop": '["sudo", "systemctl", "stop", "postgresql@15-main"]',
    "start": '["sudo", "systemctl", "start", "postgresql@15-main"]',
}


@dataclass(frozen=True)
class ServerControl:
    """One server on this host.

    :param connection: id of the connection that says how, for messages.
    :param data: the data directory.
    :param stop_command: argv that stops the server in good order and returns when it has.
    :param start_command: argv that starts it.
    """

    connection: str
    data: Path
    stop_command: tuple[str, ...]
    start_command: tuple[str, ...]

    @classmethod
    def from_connection(cls, connection: ConnectionInfo) -> ServerControl:
        """How the server of a cluster's connection is stopped and started.

        :raises PolicyError: with a line for each key of the extra that is missing or of the wrong kind, and what to put
            there.
        """
        extra, problems = connection.extra, []
        data = extra.get("data_directory")
        if not isinstance(data, str) or not Path(data).is_absolute():
            problems.append(_problem(connection, "data_directory", data, "the absolute path of the data directory"))
        for name in ("stop", "start"):
            if not _is_argv(extra.get(name)):
                what = f"the command that {name}s the server on its host, as a list of words"
                problems.append(_problem(connection, name, extra.get(name), what))
        if problems:
            raise PolicyError(problems)
        return cls(connection.id, Path(str(data)), tuple(extra["stop"]), tuple(extra["start"]))

    def processes(self) -> list[int]:
        """PostgreSQL's processes that work in the data directory, also after it was removed under them."""
        place, found = os.path.realpath(self.data), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    folder, program = str((entry / "cwd").readlink()), (entry / "exe").readlink().name
                except OSError:
                    continue
                if folder.removesuffix(_GONE) == place and program.startswith("postgres"):
                    found.append(int(entry.name))
        return sorted(found)

    def stop(self, *, seconds: float = STOP_SECONDS) -> bool:
        """Stop the server, and return when no process of it is left; whether any was running.

        A server that its host's command does not end is told to quit at once: its directory is kept as it is.

        :raises SourceUnavailable: when processes stay all the same.
        """
        running = bool(self.processes())
        try:
            # Also when nothing runs: a host that restarts a crashed server must know that it shall not.
            self._run(self.stop_command, seconds)
        except (ToolFailed, SourceUnavailable) as error:
            _log.info("connection %s: %s", self.connection, error)
        if not wait_until_none(self, 5.0):
            for pid in self.processes():
                _signal(pid, signal.SIGQUIT)
        if not wait_until_none(self, _QUIT_SECONDS):
            raise SourceUnavailable(
                f"the server in {self.data} does not stop: the command {list(self.stop_command)} of connection "
                f"{self.connection} has run, and processes {self.processes()} still work there; end them and try again"
            )
        return running

    def start(self, server: PostgresServer, *, seconds: float = START_SECONDS) -> None:
        """Start the server unless it runs, and return when it takes connections where its clients look for it.

        :param server: as the connection reaches it.
        :raises SourceUnavailable: when it does not, in time.
        :raises SourceError: when the host's command fails.
        """
        if not self.processes():
            try:
                self._run(self.start_command, seconds)
            except ToolFailed as error:
                raise SourceError(
                    f"the server in {self.data} does not start: the command {list(self.start_command)} of connection "
                    f"{self.connection} failed: {error}; see the server's log"
                ) from error
        end = time.monotonic() + seconds
        while True:
            try:
                with server.connect(timeout=5):
                    return
            except SourceUnavailable as error:
                if time.monotonic() > end:
                    raise SourceUnavailable(
                        f"the server in {self.data} was started by {list(self.start_command)} and does not answer "
                        f"within {seconds:.0f} s: {error}; see the server's log"
                    ) from error
                time.sleep(0.2)

    def _run(self, argv: Sequence[str], seconds: float) -> None:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C.UTF-8"}
        # Nothing is read from it: a server that it leaves behind would keep the pipe open.
        with Child(argv, env=env) as child:
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                raise SourceUnavailable(
                    f"the command {list(argv)} of connection {self.connection} has not ended within {seconds:.0f} s"
                ) from None
            child.check()


def wait_until_none(control: ServerControl, seconds: float) -> bool:
    """Whether no process of the server is left within so many seconds."""
    wait_until(lambda: not control.processes(), seconds)
    return not control.processes()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        _log.debug("process %s has ended by itself", pid)


def _is_argv(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) and word for word in value)


def _problem(connection: ConnectionInfo, key: str, found: Any, what: str) -> str:
    shown = "nothing" if found is None else f"{found!r}"
    return (
        f"connection {connection.id!r}: extra.{key} is {shown}; to replace a whole cluster it must be {what}, such as "
        f"{_EXAMPLE[key]}"
    )
