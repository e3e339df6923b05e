"""A real standby: its lag, its slot, and why it is no candidate when it is not."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.lab.ports import free_ports
from include.lab.postgres import VOLATILE, PostgresCluster
from include.recovery.pgbackrest.protection import watch_primary
from include.recovery.postgres.backoff import Load, advise
from include.recovery.postgres.replication_state import ask_primary
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.standby import Limits, StandbyReport, watch
from tests.fixtures.shared import SharedServers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@dataclass
class Pair:
    primary: PostgresCluster
    standby: PostgresCluster

    @staticmethod
    def server(cluster: PostgresCluster) -> PostgresServer:
        return PostgresServer(host=str(cluster.socket_directory), port=cluster.port)

    def watch(self, limits: Limits | None = None) -> StandbyReport:
        return watch(self.server(self.standby), self.server(self.primary), limits, now=datetime.now(UTC))


@pytest.fixture
def pair(shared_servers: SharedServers) -> Iterator[Pair]:
    place = Path(tempfile.mkdtemp(prefix="lb-p-"))
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, place, ignore_errors=True)
        clusters = [
            PostgresCluster(f"{name}-{secrets.token_hex(3)}", place / name, port, shared_servers.registry,
                            secrets.token_urlsafe(12), VOLATILE)
            for name, port in zip(("p", "s"), free_ports(2), strict=True)
        ]
        primary, standby = clusters
        primary.start()
        ends.callback(primary.stop)
        standby.directory.mkdir(mode=0o700)
        primary._tool(
            "pg_basebackup", "-D", str(standby.data), "-h", str(primary.socket_directory), "-p", str(primary.port),
            "-U", "postgres", "-R", "-C", "-S", "standby1", "-X", "stream", "--checkpoint=fast", "--no-sync",
        )
        (standby.data / "lab.conf").write_text(standby._configuration())
        standby.start()
        ends.callback(standby.stop)
        yield Pair(primary, standby)


def until(pair: Pair, limits: Limits, candidate: bool) -> StandbyReport:
    end = time.monotonic() + 30
    while True:
        report = pair.watch(limits)
        if report.candidate is candidate:
            return report
        assert time.monotonic() < end, report
        time.sleep(0.2)


def test_a_standby_through_its_troubles(pair: Pair) -> None:
    report = until(pair, Limits(), candidate=True)
    assert report.timeline == 1
    assert [concern.cause for concern in report.concerns] == ["slot limit"]

    with pair.standby.connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
    with pair.primary.connect() as connection:
        connection.execute("CREATE TABLE big AS SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n")
    report = until(pair, Limits(lag_bytes=1024**2, lag=timedelta(hours=1)), candidate=False)
    assert report.lag_bytes is not None
    assert report.lag_bytes > 1024**2
    assert {concern.cause for concern in report.concerns} >= {"standby replay", "standby lag"}
    advice = advise(ask_primary(pair.server(pair.primary)), Load(replica_bytes=1024**2))
    assert not advice.start
    assert "MiB behind" in advice.reasons[0]
    with pair.standby.connect() as connection:
        connection.execute("SELECT pg_wal_replay_resume()")
    assert until(pair, Limits(), candidate=True).candidate

    pair.standby.stop()
    report = pair.watch()
    assert not report.candidate
    assert report.concerns[0].cause == "standby"
    end = time.monotonic() + 20
    while "slot standby1" not in {each.cause for each in pair.watch().concerns} and time.monotonic() < end:
        time.sleep(0.2)
    guarded = watch_primary(pair.server(pair.primary), queue_max=1024**3, allowance=timedelta(minutes=1))
    causes = {concern.cause for concern in guarded.concerns}
    assert causes >= {"archive_mode", "slot standby1", "slot limit"}

    pair.standby.start()
    with pair.standby.connect() as connection:
        connection.execute("SELECT pg_promote()")
    report = pair.watch()
    assert any("is no standby any more, it takes writes on timeline 2" in why for why in report.why_not), report
    pair.primary.stop()
    assert "primary" in {concern.cause for concern in pair.watch().concerns}
