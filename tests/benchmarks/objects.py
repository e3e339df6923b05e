"""A bucket of 100,000 objects: what it costs to list, fingerprint and preview it, beside a plain listing by boto3.

The listing comes from ``listing_server.py``, which stands in for S3 at the network. Nothing but the listing and the
history of the newest backup is read, as on a day when nothing is new: new objects are read once, at the speed of the
service that holds them. A smaller run on radosgw, with a first and a second backup, says what a real service adds.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.lab.buckets import Credentials, client
from include.lab.ceph import OSD_PORTS, CephCluster, CephPorts
from include.lab.guard import RUN, start_guard
from include.lab.ports import LOOPBACK, free_ports, listens, wait_for
from include.lab.processes import Registry
from include.lab.tls import make_certificates
from tests.benchmarks.listing_server import DAMAGED, WHOLE, backed_up, changed, key
from tests.benchmarks.objects_run import CONNECTION
from tests.benchmarks.processes import Cost, run
from tests.benchmarks.results import Result

GROUPS = ("objects",)
MANY, FEW, REAL = 100_000, 10_000, 2_000
MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
_KINDS = ("plain", "fingerprint", "preview")


@dataclass(frozen=True)
class Asked:
    """A service with the two buckets.

    :param directory: with the way to it.
    :param objects: in each bucket, with those that are missing.
    """

    directory: Path
    objects: int

    def cost(self, kind: str, *, memory: bool = False) -> Cost:
        """Of one measurement, in a process of its own."""
        words = [str(self.directory), str(self.objects), kind]
        return run([sys.executable, "-m", "tests.benchmarks.objects_run", *words], _ENVIRONMENT, memory=memory)

    def seconds(self, kind: str) -> float:
        """That it says it took."""
        return self.checked(kind, self.cost(kind))

    def checked(self, kind: str, cost: Cost) -> float:
        """The seconds, when what it found is right."""
        told = json.loads(cost.output)
        there = sum(backed_up(number) is not None for number in range(self.objects))
        expected = changed(self.objects) if kind == "preview" else there
        if told.get("found", expected) != expected:
            raise RuntimeError(f"{kind} found {told['found']} of {expected}")
        return float(told["seconds"])


def measure(
    rounds: int, tell: Callable[[str], None], *, many: int = MANY, few: int = FEW, real: int = REAL
) -> list[Result]:
    """Speed in interleaved rounds over many objects; peak memory over many and over few; and a run on radosgw."""
    seconds: dict[str, list[float]] = defaultdict(list)
    peaks: dict[tuple[str, int], int] = {}
    with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as made:
        for objects in (many, few):
            with _generated(Path(made) / str(objects), objects) as asked:
                asked.cost("prepare")
                for number in range(rounds if objects == many else 0):
                    for kind in _KINDS if number % 2 == 0 else reversed(_KINDS):
                        seconds[kind].append(asked.seconds(kind))
                for kind in _KINDS[1:]:
                    cost = asked.cost(kind, memory=True)
                    asked.checked(kind, cost)
                    peaks[kind, objects] = cost.peak
        per_second = {kind: many / statistics.median(each) for kind, each in seconds.items()}
        detail = f"of {many:,} objects in generated pages, each second: {_listed(per_second)}"
        tell(detail)
        with _radosgw(Path(made) / "real", real) as asked:
            on_radosgw = {kind: real / asked.seconds(step) for kind, step in (
                ("first backup", "backup"), ("second backup", "backup"), *((kind, kind) for kind in _KINDS[:2]),
            )}  # fmt: skip
        # A backup here is of two buckets.
        on_radosgw |= {kind: 2 * rate for kind, rate in on_radosgw.items() if "backup" in kind}
        detail += f"; of {real:,} on radosgw: {_listed(on_radosgw)}"
        tell(detail)
    memory = [
        f"{kind} {peaks[kind, many] / MIB:.0f} MiB against {peaks[kind, few] / MIB:.0f} MiB" for kind in _KINDS[1:]
    ]
    growth = max(peaks[kind, many] / peaks[kind, few] for kind in _KINDS[1:])
    slowest = min(per_second[kind] for kind in _KINDS[1:])
    ratio, baseline = round(slowest / per_second["plain"], 2), "boto3's paginator over list_object_versions"
    return [
        Result("objects_per_second", ratio, baseline, detail),
        Result("objects_memory_growth", round(growth, 3), f"{few:,} objects instead of {many:,}", "; ".join(memory)),
    ]


def _listed(rates: dict[str, float]) -> str:
    return ", ".join(f"{kind} {rate:,.0f}" for kind, rate in rates.items())


@contextmanager
def _registry(directory: Path) -> Iterator[Registry]:
    """For what ends with this process, however that ends."""
    directory.mkdir()
    guard = start_guard(directory)
    assert guard.stdin is not None
    try:
        yield Registry(directory / RUN, directory / "logs")
    finally:
        guard.stdin.close()
        guard.wait()


def _asked(directory: Path, objects: int, connection: dict[str, Any]) -> Asked:
    place = directory / "place"
    place.mkdir()
    (place / CONNECTION).write_text(json.dumps(connection))
    return Asked(place, objects)


@contextmanager
def _generated(directory: Path, objects: int) -> Iterator[Asked]:
    """Buckets that nobody has filled."""
    with _registry(directory) as registry:
        (port,) = free_ports(1)
        words = ["-m", "tests.benchmarks.listing_server", str(port), str(objects)]
        registry.start("listing", [sys.executable, *words], env=_ENVIRONMENT)
        log = str(registry.log("listing"))
        wait_for("listing", lambda: listens(port), seconds=120, alive=lambda: registry.alive("listing"), log=log)
        extra = {"endpoint_url": f"http://{LOOPBACK}:{port}", "region_name": "us-east-1"}
        yield _asked(directory, objects, {"login": "bench", "password": "bench", "extra": extra})


@contextmanager
def _radosgw(directory: Path, objects: int) -> Iterator[Asked]:
    """The same buckets, filled, and their replicas, in one region."""
    with _registry(directory) as registry:
        certificates = make_certificates(directory / "tls", datetime.now(UTC))
        first = free_ports(2 + OSD_PORTS)[0]
        ports = CephPorts(monitor=first, gateway=first + 1, osd=first + 2)
        cluster = CephCluster("real", directory / "ceph", ports, certificates, registry)
        cluster.create()
        cluster.start()
        keys = Credentials.random()
        cluster.make_user("bench", keys.access_key, keys.secret_key)
        s3 = client(cluster.endpoint, "us-east-1", keys, certificates.authority)
        for bucket in (WHOLE, DAMAGED):
            for name in (bucket, f"{bucket}-replica"):
                s3.create_bucket(Bucket=name)
                s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
            with ThreadPoolExecutor(8) as pool:
                numbers = [number for number in range(objects) if backed_up(number) is not None]
                list(pool.map(lambda n, b=bucket: s3.put_object(Bucket=b, Key=key(n), Body=b"x" * 1000), numbers))
        extra = {"endpoint_url": cluster.endpoint, "region_name": "us-east-1", "verify": str(certificates.authority)}
        yield _asked(directory, objects, {"login": keys.access_key, "password": keys.secret_key, "extra": extra})
