"""Runs pgBackRest, and turns its failures into errors of Lifeboat."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from include.recovery.errors import LifeboatError, ToolFailed
from include.recovery.jobs import Stopped
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.commands import Call
from include.recovery.pgbackrest.configuration import Configuration
from include.recovery.pgbackrest.failures import meaning
from include.recovery.pgbackrest.info import StanzaInfo, parse_info
from include.recovery.processes import Child, Crew

_PASSED_ON = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class Outcome:
    """A call that ended well or with a code that its caller wants to see."""

    code: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True)
class PgBackRest:
    """One stanza's pgBackRest.

    :param secrets: redacted from every error, should pgBackRest ever repeat one.
    """

    call: Call
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, configuration: Configuration, *, program: str = commands.PROGRAM) -> PgBackRest:
        """For a configuration that ``workplace.prepare`` has written."""
        call = Call(configuration.folders.config, configuration.stanza, program)
        return cls(call, configuration.secrets)

    @property
    def stanza(self) -> str:
        """Its name."""
        return self.call.stanza

    def run(self, argv: Sequence[str], doing: str, *, stop: threading.Event | None = None) -> bytes:
        """Run a call to its end and return its output.

        :param doing: what it is for, in messages.
        :param stop: ends it early when set.
        :raises LifeboatError: what the failure means.
        """
        return self.outcome(argv, doing, stop=stop).stdout

    def outcome(
        self,
        argv: Sequence[str],
        doing: str,
        *,
        stop: threading.Event | None = None,
        accepted: Sequence[int] = (0,),
        on_line: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Run a call to its end.

        :param accepted: exit codes that are answers and no failures.
        :param on_line: told each line of its output as it comes; then ``stdout`` is empty.
        :raises LifeboatError: what the failure means.
        """
        with (
            Crew(stop or threading.Event()) as crew,
            # pgBackRest ends its workers and gives back its locks when it is told to end, not when it is killed.
            crew.child(argv, env=environment(), stdout="pipe", death_signal="TERM") as child,
        ):
            output = _read(child, on_line)
            try:
                child.check()
            except ToolFailed as error:
                if crew.stop.is_set():
                    raise Stopped from error
                if error.exit_code not in accepted:
                    raise self._meaning(error, output, doing) from error
            return Outcome(child.wait(), output, child.stderr)

    def info(self, *, repository: int | None = None, label: str | None = None) -> StanzaInfo:
        """What there is.

        :param label: one backup, with its databases and damaged files; needs a repository.
        """
        answer = self.run(commands.info(self.call, repository=repository, label=label), "asking what there is")
        return parse_info(answer, self.stanza)

    def _meaning(self, error: ToolFailed, output: bytes, doing: str) -> LifeboatError:
        # Some failures are told on stdout alone, as `verify` does.
        told = error.stderr if error.stderr.strip() else output[-4096:].decode("utf-8", "replace")
        return meaning(ToolFailed(error.tool, error.exit_code, told), doing, where=self.stanza, secrets=self.secrets)


def version(program: str = commands.PROGRAM) -> str:
    """The installed version, such as ``2.45``.

    :raises LifeboatError: when pgBackRest is not installed.
    """
    with Crew(threading.Event()) as crew:
        try:
            answer = crew.run(commands.version(program), env=environment()).decode().split()
        except ToolFailed as error:
            raise LifeboatError(
                f"pgBackRest cannot be run as {program!r} ({error}); install the package pgbackrest"
            ) from error
    return answer[-1] if answer else "unknown"


def environment() -> dict[str, str]:
    """What pgBackRest gets to see: no ``PG...`` of ours, which would lead it to another server, and no secret."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C.UTF-8"}


def _read(child: Child, on_line: Callable[[str], None] | None) -> bytes:
    """Everything that a tool prints until its end; or nothing, when each line is told as it comes."""
    pipe, kept = child.stdout.fileno(), bytearray()
    while chunk := os.read(pipe, 64 * 1024):
        kept += chunk
        if on_line is not None:
            *lines, rest = bytes(kept).split(b"\n")
            kept = bytearray(rest)
            for line in lines:
                on_line(line.decode("utf-8", "replace"))
    if on_line is not None and kept:
        on_line(kept.decode("utf-8", "replace"))
    return bytes(kept)
