"""The monthly drill over a real repository: green when all is well, and never green when one step fails."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from include.recovery.catalog.points import RecoveryPoint
from include.recovery.evidence.model import Outcome
from include.recovery.pgbackrest import drill as drilling
from include.recovery.pgbackrest.drill import COMPARE, HEARTBEAT, SECOND_RESTORE, STEPS, Drill, run_drill
from include.recovery.pgbackrest.restore import Recovered, recover
from include.recovery.policy.models import Validation
from include.recovery.postgres.heartbeat import beat
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.recovery_point import make_point
from tests.integration.pgbackrest.conftest import World, wal_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
EVERY = timedelta(seconds=2)
CHANCE = random.Random(7)  # noqa: S311


@contextmanager
def beating(world: World) -> Iterator[None]:
    """The heartbeat, each half second."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(0.5):
            beat(world.server)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def lived_in(world: World) -> tuple[RecoveryPoint, list[str]]:
    """A backup, some seconds of work, a verifiable point, and all of it archived; the segments."""
    prepare(world.server, backup_password="b", restore_password="r")
    world.sql("CREATE INDEX notes_text ON public.notes (text)")
    segments = []
    with beating(world):
        world.back_up()
        for number in range(3):
            world.note(f"note {number}")
            time.sleep(2)
            segments.append(world.archive_all())
        point = make_point(world.server, "shop", "main-db")
        world.note("after the point")
        time.sleep(1)
    world.archive_all()
    assert point.kind == "verifiable"
    return point, segments


def drill_of(world: World, *points: RecoveryPoint) -> Drill:
    questions = [Validation(name="there are notes", sql="select count(*) from notes", at_least=3)]
    return Drill(
        world.configuration, 1, world.scratch(), "main-db", "postgres", points, questions,
        window=timedelta(hours=72), archive_delay=timedelta(seconds=1), heartbeat=EVERY, major=15,
        superuser="postgres",
    )


def test_a_drill_proves_and_measures_and_a_failed_step_is_never_green(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, segments = lived_in(small_world)
    drill = drill_of(small_world, point)
    report = run_drill(drill, chance=CHANCE)
    assert report.problems == ()
    assert [check.name for check in report.checks if check.name in STEPS] == list(STEPS)
    assert report.comparison is not None
    assert report.comparison.identical
    assert report.second is not None
    assert report.second < point.at
    assert report.rto_seconds is not None
    assert report.rpo_seconds is not None
    assert report.loss_seconds is not None
    assert 0 <= report.loss_seconds <= 2 * EVERY.total_seconds()
    assert not drill.directory.exists()

    # One row of the copy is another; the rest is found out all the same.
    def touched(*arguments: object, **more: object) -> Recovered:
        copy = recover(*arguments, **more)  # type: ignore[arg-type]
        with copy.server.server().connect() as connection:
            connection.execute("UPDATE public.notes SET text = text || '!' WHERE id = 2")
        return copy

    monkeypatch.setattr(drilling, "recover", touched)
    report = run_drill(drill, chance=CHANCE)
    (problem,) = report.problems
    assert problem.startswith(f"{COMPARE}: not identical")
    assert "public.notes" in problem
    monkeypatch.undo()

    # A hole before the point: neither restore gets there, and each says why.
    wal_file(small_world, segments[0]).unlink()
    report = run_drill(drill, chance=CHANCE)
    assert not report.passed
    assert f"WAL segment {segments[0]} is missing" in report.problems[0]
    assert any("cannot be restored" in problem for problem in report.problems)
    by_name = {check.name: check.outcome for check in report.checks}
    assert set(by_name) >= set(STEPS)
    assert by_name[COMPARE] is by_name[HEARTBEAT] is by_name[SECOND_RESTORE] is Outcome.SKIPPED
