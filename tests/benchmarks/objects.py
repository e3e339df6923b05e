"""A bucket of 100,000 objects: what it costs to list, fingerprint and preview it, beside a plain listing by boto3.

The listing comes from ``listing_server.py``, which stands in for S3 at the network. Nothing but the listing and the
history of the newest backup is read, as on a day when nothing is new: new objects are read once, at the speed of the
service that holds them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from include.lab.guard import RUN, start_guard
from include.lab.ports import LOOPBACK, free_ports, listens, wait_for
from include.lab.processes import Registry
from tests.benchmarks.listing_server import changed
from tests.benchmarks.processes import Cost, run
from tests.benchmarks.results import Result

GROUPS = ("objects",)
MANY, FEW = 100_000, 10_000
MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]
_KINDS = ("plain", "fingerprint", "preview")


def measure(rounds: int, tell: Callable[[str], None], *, many: int = MANY, few: int = FEW) -> list[Result]:
    """Speed in interleaved rounds over many objects; peak memory over many and over few."""
    seconds: dict[str, list[float]] = defaultdict(list)
    peaks: dict[tuple[str, int], int] = {}
    with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as made:
        directory = Path(made)
        for objects in (many, few):
            with _bucket(directory / str(objects), objects) as ask:
                ask("prepare", False)
                for number in range(rounds if objects == many else 0):
                    for kind in _KINDS if number % 2 == 0 else reversed(_KINDS):
                        seconds[kind].append(_checked(kind, ask(kind, False), objects))
                for kind in _KINDS[1:]:
                    cost = ask(kind, True)
                    _checked(kind, cost, objects)
                    peaks[kind, objects] = cost.peak
    per_second = {kind: many / statistics.median(each) for kind, each in seconds.items()}
    detail = ", ".join(f"{kind} {rate:,.0f}" for kind, rate in per_second.items())
    tell(f"objects per second: {detail}")
    memory = [
        f"{kind} {peaks[kind, many] / MIB:.0f} MiB against {peaks[kind, few] / MIB:.0f} MiB" for kind in _KINDS[1:]
    ]
    growth = max(peaks[kind, many] / peaks[kind, few] for kind in _KINDS[1:])
    slowest = min(per_second[kind] for kind in _KINDS[1:])
    ratio, baseline = round(slowest / per_second["plain"], 2), "boto3's paginator over list_object_versions"
    return [
        Result("objects_per_second", ratio, baseline, f"of {many:,} objects in generated pages, each second: {detail}"),
        Result("objects_memory_growth", round(growth, 3), f"{few:,} objects instead of {many:,}", "; ".join(memory)),
    ]


@contextmanager
def _bucket(directory: Path, objects: int) -> Iterator[Callable[[str, bool], Cost]]:
    """A server with so many objects; gives what asks it in a process of its own."""
    directory.mkdir()
    guard = start_guard(directory)
    assert guard.stdin is not None
    try:
        (port,) = free_ports(1)
        registry = Registry(directory / RUN, directory / "logs")
        words = ["-m", "tests.benchmarks.listing_server", str(port), str(objects)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        registry.start("listing", [sys.executable, *words], env=environment)
        log = str(registry.log("listing"))
        wait_for("listing", lambda: listens(port), seconds=120, alive=lambda: registry.alive("listing"), log=log)

        def ask(kind: str, memory: bool) -> Cost:
            words = [str(directory / "place"), f"http://{LOOPBACK}:{port}", str(objects), kind]
            return run([sys.executable, "-m", "tests.benchmarks.objects_run", *words], environment, memory=memory)

        yield ask
    finally:
        guard.stdin.close()
        guard.wait()


def _checked(kind: str, cost: Cost, objects: int) -> float:
    """The seconds that it says; what it found has to be right."""
    told = json.loads(cost.output)
    expected = changed(objects) if kind == "preview" else sum(number % 100 != 2 for number in range(objects))
    if told["found"] != expected:
        raise RuntimeError(f"{kind} found {told['found']} of {expected}")
    return float(told["seconds"])
