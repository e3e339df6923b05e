"""Child processes that cannot outlive us, cannot fail unseen, and cannot give away a secret.

Every tool that Lifeboat runs goes through ``Child``:

- It is started by ``setpriv --pdeathsig``, so the kernel ends it when the thread that started it is gone, whatever
  ended that thread's process. No new session is made: a signal to the task's process group reaches the tool too.
- Its stdout ends as a stream only when it ended well: at end of file its exit code is checked, and a failed tool
  raises ``ToolFailed`` there. So a half-written dump can never look like a short one.
- The end of its stderr is kept, with secrets redacted.
- Secrets reach it by environment, never by argv, which everybody may read.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

from include.recovery.errors import LifeboatError, ToolFailed
from include.recovery.jobs import Stopped

PIPE_BYTES = 1024 * 1024
CHUNK_BYTES = 1024 * 1024
STDERR_BYTES = 16 * 1024
STDIO_BYTES = 256 * 1024
_SECRET_VARIABLES = ("PASSWORD", "SECRET", "TOKEN", "PRIVATE_KEY", "REDISCLI_AUTH")
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; for a task process, whose supervisor may be killed.

    The signal follows the parent's *thread* that forked us. When the parent is gone already, this process ends at once.
    """
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def redact(text: str, secrets: Sequence[str]) -> str:
    """The text with every secret replaced by ``***``.

    :param secrets: values to hide; empty ones are ignored.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """The values of an environment that must never be shown, known by the names of their variables."""
    return [value for name, value in env.items() if value and any(word in name.upper() for word in _SECRET_VARIABLES)]


class Child:
    """One running tool. Use it as a context manager: leaving the block ends the tool if it still runs.

    :param argv: the command; its first word names the tool in messages. Never holds a secret.
    :param env: the tool's whole environment.
    :param stdin: ``pipe`` to feed it through ``feed``.
    :param stdout: ``pipe`` to read it through ``stdout``.
    :param death_signal: what the kernel sends when we die. ``TERM`` suits tools with workers of their own, which pass
        it on (``pg_restore -j``); everything else gets ``KILL``.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: Literal["pipe", "none"] = "none",
        stdout: Literal["pipe", "none"] = "none",
        death_signal: Literal["KILL", "TERM"] = "KILL",
    ) -> None:
        self.tool = Path(argv[0]).name
        self._secrets = secrets_of(env)
        self._stderr_tail = bytearray()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [_program("setpriv"), "--pdeathsig", death_signal, "--", *_wide(stdin, stdout), *argv],
            env=dict(env),
            stdin=subprocess.PIPE if stdin == "pipe" else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout == "pipe" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._stderr_reader = threading.Thread(target=self._keep_stderr, name=f"{self.tool}-stderr", daemon=True)
        self._stderr_reader.start()

    @property
    def pid(self) -> int:
        """Process id of the tool itself (``setpriv`` has become it)."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def stderr(self) -> str:
        """The end of what it said on stderr so far, secrets redacted."""
        with self._lock:
            text = bytes(self._stderr_tail).decode("utf-8", "replace")
        return redact(text, self._secrets)

    @property
    def stdout(self) -> BinaryIO:
        """Its output; reading to the end waits for the tool and raises ``ToolFailed`` when it ended badly."""
        return cast("BinaryIO", _CheckedOutput(self))

    def feed(self, stream: BinaryIO, *, on_bytes: Callable[[int], None] | None = None) -> None:
        """Write a whole stream to its stdin, close it, and wait for the tool to end well.

        When the stream raises, the tool is killed before it can see the early end as a real one.

        :param on_bytes: told the size of each chunk written.
        :raises ToolFailed: when the tool fails, or ends before it has read everything.
        """
        pipe = self._stdin()
        try:
            while chunk := stream.read(CHUNK_BYTES):
                _write_all(pipe, chunk)
                if on_bytes is not None:
                    on_bytes(len(chunk))
        except BrokenPipeError:
            self._close(pipe)
            self.check()
            raise ToolFailed(self.tool, 0, "it stopped reading before the end of its input") from None
        except BaseException:
            self.kill()
            raise
        self._close(pipe)
        self.check()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; negative when a signal ended it.

        :param timeout: seconds; ``subprocess.TimeoutExpired`` after that.
        """
        code = self._process.wait(timeout)
        self._stderr_reader.join(timeout=5)
        return code

    def check(self) -> None:
        """Wait for the end, and raise ``ToolFailed`` unless the exit code is 0."""
        code = self.wait()
        if code != 0:
            raise ToolFailed(self.tool, code, self.stderr)

    def kill(self, grace: float = 3.0) -> None:
        """End it: politely first, so that it cancels its queries on the server, then by force.

        :param grace: seconds between the two.
        """
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                self._close(pipe)
        self._stderr_reader.join(timeout=5)
        if self._process.stderr is not None and not self._stderr_reader.is_alive():
            self._process.stderr.close()

    def _keep_stderr(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            while chunk := pipe.read(4096):
                with self._lock:
                    self._stderr_tail += chunk
                    del self._stderr_tail[:-STDERR_BYTES]

    def _stdin(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise ValueError(f"{self.tool} was started without an input pipe")
        return self._process.stdin

    def _raw_stdout(self) -> IO[bytes]:
        if self._process.stdout is None:
            raise ValueError(f"{self.tool} was started without an output pipe")
        return self._process.stdout

    @staticmethod
    def _close(pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError):
            pipe.close()


class _CheckedOutput(io.RawIOBase):
    """A tool's stdout whose end of file is a promise: the tool has ended with exit code 0."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._pipe = child._raw_stdout()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._pipe.fileno()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the whole buffer unless the tool ends first, so that callers see few large chunks."""
        view = memoryview(buffer)
        filled = 0
        while filled < len(view):
            count = os.readv(self._pipe.fileno(), [view[filled:]])
            if count == 0:
                if filled == 0:
                    self._child.check()
                break
            filled += count
        return filled


class Crew:
    """The children of one job: when the job's stop event is set, all of them are ended.

    :param stop: set by whoever wants the job to end: a failed sibling, a lost lease, a killed task.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self._children: set[Child] = set()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="crew-watcher", daemon=True)

    def __enter__(self) -> Crew:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.kill_all()
        self._watcher.join(timeout=5)

    @contextlib.contextmanager
    def child(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: Literal["pipe", "none"] = "none",
        stdout: Literal["pipe", "none"] = "none",
        death_signal: Literal["KILL", "TERM"] = "KILL",
    ) -> Iterator[Child]:
        """A child that ends with the block, or when the stop event is set.

        :raises Stopped: when the event was set before the tool could start.
        """
        if self.stop.is_set():
            raise Stopped
        with Child(argv, env=env, stdin=stdin, stdout=stdout, death_signal=death_signal) as child:
            with self._lock:
                self._children.add(child)
            try:
                yield child
            finally:
                with self._lock:
                    self._children.discard(child)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str]) -> bytes:
        """Run a tool to its end and return its (small) output.

        :raises ToolFailed: when it ends badly.
        """
        with self.child(argv, env=env, stdout="pipe") as child:
            return child.stdout.read()

    def kill_all(self) -> None:
        """End every child that still runs."""
        with self._lock:
            children = list(self._children)
        for child in children:
            child.kill()

    def _watch(self) -> None:
        # It waits for the end, not for the stop: most children live for milliseconds, and leaving must not take longer.
        while not self._done.wait(0.1):
            if self.stop.is_set():
                self.kill_all()


def run_tool(argv: Sequence[str], *, env: Mapping[str, str], stop: threading.Event | None = None) -> bytes:
    """Run one tool to its end and return its (small) output.

    :param stop: ends it early when set.
    :raises ToolFailed: when it ends badly, with the end of its stderr.
    """
    with Crew(stop or threading.Event()) as crew:
        return crew.run(argv, env=env)


def _write_all(pipe: IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        written = pipe.write(view)
        view = view[written:]


def _wide(stdin: str, stdout: str) -> list[str]:
    """What gives a tool wide buffers: by itself it moves 4 KiB at a time, and each wakes the other side [measured]."""
    options = [f"--{name}={STDIO_BYTES}" for name, end in (("input", stdin), ("output", stdout)) if end == "pipe"]
    return [_program("stdbuf"), *options, "--"] if options else []


def _program(name: str) -> str:
    """Where one of the system's own programs is.

    :raises LifeboatError: when it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        package = {"setpriv": "util-linux", "stdbuf": "coreutils"}[name]
        raise LifeboatError(f"{name} is not on PATH; install the package {package}")
    return path
