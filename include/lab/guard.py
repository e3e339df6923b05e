"""Stops the servers of one directory when the process that started the guard is gone, however it went.

The starter holds the other end of the guard's standard input; the kernel closes it when the starter ends, by Ctrl-C or
``kill -9`` as well. Run as ``python -m include.lab.guard DIRECTORY``; the directory is removed at the end.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from include.lab.processes import Registry

RUN = "run"


def start_guard(directory: Path) -> subprocess.Popen[bytes]:
    """A guard over the servers recorded in ``directory/run``; closing its ``stdin`` makes it stop them."""
    return subprocess.Popen(
        [sys.executable, "-m", "include.lab.guard", str(directory)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def main(directory: Path) -> None:
    """Wait for the end of standard input, then stop everything."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    registry = Registry(directory / RUN)
    while registry.stop_all(seconds=5):
        time.sleep(1)  # a test worker that is ending too may just have started one more
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
