"""Which port each service of the lab listens on, always on loopback."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from include.lab.errors import LabError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """So many ports in a row on loopback that nobody listens on now.

    They come from below the range that the system hands to outgoing connections, so that none of those takes one
    between the choice and its use; where the search begins differs by process and time.
    """
    first, last = 20000, 32000
    begin = first + (os.getpid() * 97 + time.monotonic_ns() // 1_000_000) % (last - first)
    row: list[int] = []
    for port in [*range(begin, last), *range(first, begin)]:
        row = [*row, port] if _can_bind(port) and (not row or port == row[-1] + 1) else []
        if len(row) == count:
            return row
    raise LabError(f"no {count} free ports in a row between {first} and {last} on {LOOPBACK}: stop what is using them")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_for(what: str, ready: Callable[[], bool], *, seconds: float, alive: Callable[[], bool], log: str = "") -> None:
    """Return when ``ready()``; give up when the process is gone or the time is over.

    :param what: named in the error.
    :param alive: whether the process that should become ready still runs.
    :param log: where to look when it does not become ready.
    :raises LabError: naming ``what`` and the log.
    """
    where = f"; see {log}" if log else ""
    until = time.monotonic() + seconds
    while not ready():
        if not alive():
            raise LabError(f"{what} ended while it was starting{where}")
        if time.monotonic() > until:
            raise LabError(f"{what} was not ready after {seconds:.0f} s{where}")
        time.sleep(0.1)
