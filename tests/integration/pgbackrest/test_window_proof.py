"""What ``make soak`` does, in short: seconds of the window in a row; red for a hole, and for a silent heart."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.window_proof import Place, prove_window
from include.recovery.postgres.prepare import prepare
from tests.integration.pgbackrest.conftest import World, beating, wal_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
EVERY = timedelta(seconds=1)


def place_of(world: World) -> Place:
    return Place(
        world.configuration, 1, world.scratch(), "postgres", timedelta(hours=72), EVERY, major=15, superuser="postgres"
    )


def test_seconds_in_a_row_and_every_way_to_be_red(small_world: World) -> None:
    prepare(small_world.server, backup_password="b", restore_password="r")
    place = place_of(small_world)
    with pytest.raises(BackupNotFound, match="there is no backup"):
        prove_window(place, 1)
    segments = []
    with beating(small_world.server):
        small_world.back_up()
        for number in range(4):
            small_world.note(f"note {number}")
            time.sleep(2)
            segments.append(small_world.archive_all())
    marked: list[str] = []

    @contextmanager
    def marker(label: str) -> Iterator[None]:
        marked.append(label)
        yield

    found = prove_window(replace(place, marker=marker), 3, chance=random.Random(3))  # noqa: S311
    assert found.problems == ()
    assert len(found.seconds) == 3
    assert marked == [each.label for each in found.seconds]
    assert all(each.loss_seconds is not None and each.loss_seconds <= 2 for each in found.seconds), found.seconds
    assert found.window is not None
    assert found.window.short is not None, "72 hours are promised, and the cluster is a minute old"
    assert not place.directory.exists()

    impatient = prove_window(replace(place, heartbeat=timedelta(milliseconds=1)), 1, chance=random.Random(3))  # noqa: S311
    assert impatient.problems, "no heartbeat is a millisecond old"

    wal_file(small_world, segments[1]).unlink()
    holed = prove_window(place, 2, chance=random.Random(3))  # noqa: S311
    assert f"WAL segment {segments[1]} is missing" in holed.problems[0]
