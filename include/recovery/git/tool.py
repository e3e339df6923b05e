"""Git as a child process: small answers, streams, and two of them in a row. Memory is flat."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from include.recovery.errors import SourceError, ToolFailed
from include.recovery.git.failures import meaning
from include.recovery.processes import Child, Crew

_CHUNK = 256 * 1024
_KEPT = 64 * 1024


class Said(NamedTuple):
    """What git printed.

    :param failure: None when it ended well.
    """

    out: bytes
    err: str
    failure: ToolFailed | None

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.failure is None


@dataclass(frozen=True)
class Git:
    """Git, as one piece of work uses it.

    :param env: its whole environment.
    :param crew: ends it when the work is stopped.
    :param where: the repository, for messages.
    """

    env: Mapping[str, str]
    crew: Crew
    where: str

    def run(self, *words: str | Path, doing: str, at: Path | None = None) -> bytes:
        """Run git to its end.

        :param at: the repository's own folder (``--git-dir``).
        :return: its (small) output.
        :raises LifeboatError: when it fails; which kind depends on why.
        """
        try:
            return self.crew.run(_argv(words, at), env=self.env)
        except ToolFailed as error:
            raise meaning(error, self.where, doing) from error

    def ask(self, *words: str | Path, at: Path | None = None) -> Said:
        """Run git to its end, and take a failure as an answer. Only the beginning of long output is kept."""
        out = bytearray()
        with self.crew.child(_argv(words, at), env=self.env, stdout="pipe") as child:
            try:
                while chunk := child.stdout.read(_CHUNK):
                    out += chunk[: _KEPT - len(out)]
            except ToolFailed as error:
                return Said(bytes(out), error.stderr, error)
            return Said(bytes(out), child.stderr, None)

    def feed(self, *words: str | Path, stream: BinaryIO, doing: str, at: Path | None = None) -> None:
        """Write a whole stream to git, and wait until it has ended well.

        :raises LifeboatError: when it fails, or what the stream raises.
        """
        try:
            with self.crew.child(_argv(words, at), env=self.env, stdin="pipe") as child:
                child.feed(stream)
        except ToolFailed as error:
            raise meaning(error, self.where, doing) from error

    def answers(self, *words: str | Path, questions: bytes, doing: str, at: Path | None = None) -> list[bytes]:
        """The lines that git answers to lines.

        :raises LifeboatError: when it fails.
        """
        failures: list[BaseException] = []
        try:
            with (
                self.crew.child(_argv(words, at), env=self.env, stdin="pipe", stdout="pipe") as child,
                _beside(lambda: child.feed(io.BytesIO(questions)), failures),
            ):
                return child.stdout.read().splitlines()
        except ToolFailed as error:
            raise meaning(error, self.where, doing) from error

    @contextmanager
    def stream(self, *words: str | Path, doing: str, at: Path | None = None) -> Iterator[Child]:
        """Git while it runs; its output ends only when it ended well.

        :raises LifeboatError: for a failure of git inside the block.
        """
        try:
            with self.crew.child(_argv(words, at), env=self.env, stdout="pipe") as child:
                yield child
        except ToolFailed as error:
            raise meaning(error, self.where, doing) from error

    @contextmanager
    def piped(
        self, first: tuple[str, ...], second: tuple[str, ...], *, doing: str, at: Path
    ) -> Iterator[BinaryIO]:
        """The output of a git that reads what another one prints.

        :raises LifeboatError: for a failure of either inside the block.
        """
        failures: list[BaseException] = []
        try:
            with (
                self.crew.child(_argv(first, at), env=self.env, stdout="pipe") as one,
                self.crew.child(_argv(second, at), env=self.env, stdin="pipe", stdout="pipe") as other,
                _beside(lambda: other.feed(one.stdout), failures, then=(one.kill, other.kill)),
            ):
                yield io.BufferedReader(cast("io.RawIOBase", other.stdout), _CHUNK)
        except ToolFailed as error:
            cause = failures[0] if failures and isinstance(failures[0], ToolFailed) else error
            raise meaning(cause, self.where, doing) from error


@contextmanager
def _beside(
    work: Callable[[], None], failures: list[BaseException], *, then: tuple[Callable[[], None], ...] = ()
) -> Iterator[None]:
    """Do work on a thread while the block runs; its failure is noted, and shows as an early end to whoever reads.

    :param then: done after the block when the work has not ended by then.
    """

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="git-feed")
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=1)
        if thread.is_alive():
            for end in then:
                end()
            thread.join()


def records(stream: BinaryIO, end: bytes) -> Iterator[bytes]:
    """The records of a stream, each without its end.

    :raises SourceError: when the last one has no end.
    """
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(end)
        yield from whole
    if rest:
        raise SourceError(f"git's answer ends in the middle of a record: {rest[:80]!r}")


def version(git: Git) -> str:
    """Of the program."""
    return git.run("--version", doing="asking for its version").decode().split()[2]


def _argv(words: tuple[str | Path, ...], at: Path | None) -> list[str]:
    return ["git", *([f"--git-dir={at}"] if at is not None else []), *map(str, words)]
