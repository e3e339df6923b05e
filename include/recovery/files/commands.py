"""Commands of the policy: what makes writers hold still while files are read, and questions to a restored copy."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from include.recovery.errors import LifeboatError, SourceError, ToolFailed
from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.durations import print_duration
from include.recovery.policy.source_kinds.files import FileCheck, Quiesce
from include.recovery.processes import Child

_PASSED_ON = ("PATH", "HOME", "USER", "LANG", "TZ", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST", "KUBECONFIG")
_LONGEST_OUTPUT = 4000


def run_command(argv: Sequence[str], timeout: timedelta) -> str:
    """Run a command to its end; what it said on stdout. Of this process's environment it gets what finds programs.

    :raises ToolFailed: when it ends badly, or takes too long.
    """
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    late = threading.Event()
    try:
        with Child(argv, env=env, stdout="pipe") as child:

            def end() -> None:
                late.set()
                child.kill()

            timer = threading.Timer(timeout.total_seconds(), end)
            timer.start()
            try:
                return child.stdout.read().decode("utf-8", "replace")
            finally:
                timer.cancel()
                timer.join()
    except ToolFailed as error:
        if late.is_set():
            raise ToolFailed(error.tool, error.exit_code, f"it took longer than {print_duration(timeout)}") from error
        raise


@contextmanager
def held_still(quiesce: Quiesce | None, where: str) -> Iterator[None]:
    """Let writers hold still for a while. What undoes it always runs, whatever failed before.

    :param where: the source, for messages.
    :raises SourceError: when a command fails; the message says whether something may still hold still.
    """
    if quiesce is None:
        yield
        return
    try:
        for argv in quiesce.before:
            try:
                run_command(argv, quiesce.timeout)
            except LifeboatError as error:
                raise SourceError(f"{where}: nothing was read, since quiesce.before failed: {error}") from error
        yield
    finally:
        _let_go(quiesce, where)


def _let_go(quiesce: Quiesce, where: str) -> None:
    failed: list[str] = []
    for argv in quiesce.after:
        try:
            run_command(argv, quiesce.timeout)
        except LifeboatError as error:
            failed.append(str(error))
    if failed:
        raise SourceError(
            f"{where}: quiesce.after failed, so its writers may still hold still; look after them now: "
            + "; ".join(failed)
        )


def ask(check: FileCheck, copy: Path) -> Check:
    """Run one of the policy's questions on a copy.

    :param copy: the folder that stands for ``/``.
    """
    argv = [word.replace("{copy}", str(copy)) for word in check.argv]
    try:
        output, outcome, found = run_command(argv, check.timeout), Outcome.PASSED, "it succeeded"
    except ToolFailed as error:
        output, outcome, found = error.stderr, Outcome.FAILED, f"exit code {error.exit_code}"
    return Check(
        name=check.name, outcome=outcome, expected="it succeeds", found=found, output=output[-_LONGEST_OUTPUT:]
    )
