"""A database server of the lab as its host's service: stopped and started by argv, always in the lab's record."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.lab.lab import Lab
from include.lab.ports import free_ports
from include.lab.postgres import VOLATILE, PostgresCluster
from include.lab.processes import Registry
from include.lab.systems import SYSTEMS
from include.recovery.connections import ConnectionInfo
from include.recovery.replacement.control import ServerControl


def test_every_clusters_connection_says_how_it_is_stopped_and_started(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.prepare()
    found = json.loads(lab.connections.read_text())
    for system in SYSTEMS:
        info = ConnectionInfo(system.cluster_connection, extra=found[system.cluster_connection]["extra"])
        control = ServerControl.from_connection(info)
        assert control.data == lab.cluster(system).data
        assert control.start_command[-5:] == (
            "start", f"postgres-{system.name}", str(control.data), str(tmp_path / "run"), str(tmp_path / "logs")
        )  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    place = Path(tempfile.mkdtemp(prefix="lb-l-"))
    cluster = PostgresCluster(
        "server", place / "pg", free_ports(1)[0], Registry(place / "run", place / "logs"), "a password", VOLATILE
    )
    yield cluster
    cluster.stop()
    shutil.rmtree(place)


def run(cluster: PostgresCluster, verb: str) -> subprocess.CompletedProcess[str]:
    argv = [str(word) for word in cluster.control[verb]]
    return subprocess.run(argv, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.integration
def test_whoever_starts_it_the_lab_knows_and_stops_it(cluster: PostgresCluster) -> None:
    cluster.start()
    assert run(cluster, "stop").returncode == 0
    assert not cluster.registry.alive("server")
    assert run(cluster, "start").returncode == 0
    assert run(cluster, "start").returncode == 0
    assert cluster.registry.alive("server")
    cluster.start()
    with cluster.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert cluster.registry.stop("server")


@pytest.mark.integration
def test_a_directory_that_is_gone_is_never_made_anew(cluster: PostgresCluster) -> None:
    cluster.create()
    shutil.rmtree(cluster.data)
    done = run(cluster, "start")
    assert done.returncode == 1
    assert "holds no cluster, so server cannot be started" in done.stderr
    assert not cluster.data.exists()
