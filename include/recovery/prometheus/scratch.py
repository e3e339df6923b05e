"""A server over a copy's blocks, for as long as it is asked. It scrapes nothing, and listens on loopback only."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from include.recovery.content.http_service import HttpService
from include.recovery.content.scratch_process import free_port
from include.recovery.errors import LifeboatError
from include.recovery.processes import Crew

_SECONDS = 120


@contextmanager
def serving(blocks: Path, place: Path, stop: Event) -> Iterator[HttpService]:
    """A Prometheus over these blocks; it ends with the block.

    :param place: folder to work in; it gets links to the blocks, since a server compacts and removes what it finds.
    :raises LifeboatError: when no prometheus is installed, or it does not start, with its last words.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise LifeboatError("prometheus is not on PATH; install the Debian package prometheus on this worker")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(blocks, place / "data", copy_function=os.link)
    (place / "empty.yml").write_text("global: {}\n")
    address = f"127.0.0.1:{free_port()}"
    argv = [
        program, f"--config.file={place / 'empty.yml'}", f"--storage.tsdb.path={place / 'data'}",
        "--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(place)}
    try:
        with (
            Crew(stop) as crew,
            crew.child(argv, env=env) as child,
            HttpService("the copy", f"http://{address}") as asked,
        ):
            end = time.monotonic() + _SECONDS
            while not _ready(asked):
                if not child.running or time.monotonic() > end:
                    raise LifeboatError(f"prometheus over {blocks} does not start: {child.stderr[-1000:]}")
                time.sleep(0.05)
            yield asked
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _ready(server: HttpService) -> bool:
    try:
        server.ask("GET", "/api/v1/status/buildinfo")
        server.ask("GET", "/api/v1/query", query={"query": "1"})
    except LifeboatError:
        return False
    return True
