"""A standby that replays the archive alone: each segment proven within moments, each damaged one named."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.replay import ReplayProof
from include.recovery.pgbackrest.replay_state import ReplayReport
from include.recovery.pgbackrest.segments import segment_of_name
from include.recovery.postgres.scratch import ScratchServer
from tests.integration.pgbackrest.conftest import World, wal_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
SOON = timedelta(seconds=1)


def started(world: World) -> ReplayProof:
    return ReplayProof.start(
        world.configuration, world.scratch(), repository=1, major=15, superuser="postgres", now=datetime.now(UTC),
        wait=60,
    )


def until(
    proof: ReplayProof, wanted: Callable[[ReplayReport], bool], allowance: timedelta = timedelta(minutes=5)
) -> ReplayReport:
    """Ask until the report is as wanted."""
    end = time.monotonic() + 45
    while True:
        report = proof.ask(datetime.now(UTC), allowance=allowance)
        if wanted(report):
            return report
        assert time.monotonic() < end, report
        time.sleep(0.5)


def closed(world: World, text: str) -> str:
    world.note(text)
    return world.archive_all()


def test_it_replays_what_is_archived_and_outlives_who_started_it(small_world: World) -> None:
    small_world.back_up()
    proof = started(small_world)
    again = ReplayProof.start(
        small_world.configuration, proof.directory, repository=1, major=15, superuser="postgres",
        now=datetime.now(UTC),
    )
    assert again.proven_from == proof.proven_from
    name = closed(small_world, "one")
    behind = segment_of_name(name).start()
    report = until(again, lambda each: each.waiting == 0 and (each.lag_bytes or 0) < 16 * 1024**2)
    assert report.ok
    assert report.lag_seconds == 0.0
    assert report.loss_seconds is not None
    found = ReplayProof.find(small_world.configuration, proof.directory)
    state = found.state(datetime.now(UTC))
    assert state.position is not None
    assert state.position > behind
    with ScratchServer.attach(proof.directory).server().connect() as connection:
        assert connection.execute("SELECT text FROM public.notes").fetchall() == [("one",)]

    # The standby that stopped is no green; it is brought back from the newest backup.
    ScratchServer.end(proof.directory)
    dead = found.ask(datetime.now(UTC), allowance=SOON)
    assert "the standby that replays the archive does not run" in dead.problems[-1]
    until(
        ReplayProof.start(
            small_world.configuration, proof.directory, repository=1, major=15, superuser="postgres",
            now=datetime.now(UTC),
        ),
        lambda each: each.ok and each.waiting == 0,
    )


@pytest.mark.parametrize(("damage", "words"), [
    ("missing", "is missing, and the archive goes on at"),
    ("truncated", "cannot be read"),
    ("empty", "is empty"),
    ("another one", "holds LSN"),
])
def test_what_is_wrong_with_a_segment_is_named_when_it_is_due(small_world: World, damage: str, words: str) -> None:
    small_world.back_up()
    proof = started(small_world)
    until(proof, lambda each: each.ok and each.waiting == 0)
    with asleep(ScratchServer.attach(proof.directory)):
        first = closed(small_world, "first")
        second = closed(small_world, "second")
        small_world.note("third")
        spoil(wal_file(small_world, first), wal_file(small_world, second), damage)
    report = until(proof, lambda each: not each.ok, SOON)
    assert any(first in problem and words in problem for problem in report.problems), report
    assert not any("replay lag" in each.cause for each in report.concerns)


def test_it_follows_a_promotion(small_world: World) -> None:
    small_world.back_up()
    proof = started(small_world)
    closed(small_world, "before the promotion")
    until(proof, lambda each: each.ok and each.waiting == 0)
    small_world.cluster.stop()
    data = small_world.cluster.data
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = '{commands.archive_get(small_world.tool.call)}'\n")
    small_world.cluster.start()
    end = time.monotonic() + 60
    while small_world.sql("SELECT pg_is_in_recovery()") and time.monotonic() < end:
        time.sleep(0.1)
    name = closed(small_world, "after the promotion")
    assert name.startswith("00000002")
    report = until(proof, lambda each: each.waiting == 0 and each.timeline == 2)
    assert report.ok, report
    with ScratchServer.attach(proof.directory).server().connect() as connection:
        rows = connection.execute("SELECT text FROM public.notes ORDER BY id").fetchall()
    assert rows[-1] == ("after the promotion",)


def test_a_segment_of_a_timeline_that_nobody_knows(small_world: World) -> None:
    small_world.back_up()
    proof = started(small_world)
    name = closed(small_world, "one")
    until(proof, lambda each: each.ok and each.waiting == 0)
    file = wal_file(small_world, name)
    folder = file.parent.with_name(f"00000002{file.parent.name[8:]}")
    folder.mkdir()
    shutil.copy(file, folder / f"00000002{file.name[8:]}")
    report = until(proof, lambda each: not each.ok)
    assert any("timeline 2 has WAL and no file 00000002.history" in problem for problem in report.problems), report


@contextmanager
def asleep(standby: ScratchServer) -> Iterator[None]:
    """Keep a standby from fetching anything."""
    (startup,) = [child for child in psutil.Process(standby.pid).children() if "startup" in " ".join(child.cmdline())]
    startup.suspend()
    try:
        yield
    finally:
        startup.resume()


def spoil(file: Path, other: Path, damage: str) -> None:
    """Do to a stored segment what is to be found."""
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_bytes(b"" if damage == "empty" else other.read_bytes())
