"""A standby that replays the archive alone: each segment proven within moments, each damaged one named."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

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


def until(proof: ReplayProof, wanted: object, allowance: timedelta = timedelta(minutes=5)) -> ReplayReport:
    """Ask until the report is as wanted."""
    end = time.monotonic() + 45
    while True:
        report = proof.ask(datetime.now(UTC), allowance=allowance)
        if wanted(report):  # type: ignore[operator]
            return report
        assert time.monotonic() < end, report
        time.sleep(0.5)


def closed(world: World, text: str) -> str:
    world.note(text)
    return world.archive_all()


def test_it_replays_what_is_archived_and_outlives_who_started_it(small_world: World) -> None:
    small_world.back_up()
    proof = started(small_world)
    again = started_again = ReplayProof.start(
        small_world.configuration, proof.directory, repository=1, major=15, superuser="postgres",
        now=datetime.now(UTC),
    )
    assert started_again.proven_from == proof.proven_from
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
    assert "the standby that replays the archive has ended" in dead.problems[-1]
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
    ("wrong timeline", "of timeline"),
])
def test_what_is_wrong_with_a_segment_is_named_when_it_is_due(small_world: World, damage: str, words: str) -> None:
    small_world.back_up()
    proof = started(small_world)
    until(proof, lambda each: each.ok and each.waiting == 0)
    # Nothing is fetched while it is spoiled.
    small_world.sql("SELECT 1")
    server = ScratchServer.attach(proof.directory)
    with server.server().connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
    os.kill(server.pid, 0)
    first = closed(small_world, "first")
    path = wal_file(small_world, first)
    second = closed(small_world, "second")
    assert second > first
    small_world.note("third")
    spoil(small_world, path, first, damage)
    with server.server().connect() as connection:
        connection.execute("SELECT pg_wal_replay_resume()")
    time.sleep(3)
    report = until(proof, lambda each: not each.ok, SOON)
    assert any(first in problem and words in problem for problem in report.problems), report
    assert not any("replay lag" in each.cause for each in report.concerns)


def spoil(world: World, path: object, name: str, damage: str) -> None:
    """Do to a stored segment what is to be found."""
    file = path
    content = file.read_bytes()  # type: ignore[attr-defined]
    if damage == "missing":
        file.unlink()  # type: ignore[attr-defined]
    elif damage == "truncated":
        file.write_bytes(content[: len(content) // 2])  # type: ignore[attr-defined]
    elif damage == "empty":
        file.write_bytes(b"")  # type: ignore[attr-defined]
    else:
        pytest.skip("see test_wal_content: pgBackRest encrypts what it stores")
