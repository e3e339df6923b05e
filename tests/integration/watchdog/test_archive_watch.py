"""The continuous replay proof: continued by each run, brought back, begun anew; and the hourly check."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.recovery.catalog.archive_proofs import ArchiveProof, ArchiveProofs
from include.recovery.pgbackrest.archive_watch import check_wal, prove_replay
from include.recovery.postgres.scratch import ScratchServer
from tests.integration.watchdog.conftest import Watched

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture
def folder(watched: Watched) -> Iterator[Path]:
    place = watched.place / "r"
    yield place
    ScratchServer.remove(place)


def looked(watched: Watched, folder: Path) -> ArchiveProof:
    return prove_replay(watched.workspace, watched.system, watched.source, folder, patience=30)


def segments(watched: Watched) -> list[Path]:
    found = (watched.place / "primary" / "pgbackrest" / "archive").glob("*/15-1/*/*.zst")
    return sorted(path for path in found if ".backup" not in path.name)


def archived(watched: Watched, number: int) -> list[Path]:
    """Write so many segments, and wait until they are in the archive."""
    before, end = set(segments(watched)), time.monotonic() + 60
    for _ in range(number):
        watched.write()
    while len(new := [path for path in segments(watched) if path not in before]) < number:
        assert time.monotonic() < end
        time.sleep(0.2)
    return new


@pytest.mark.demand("L6")
def test_through_the_life_of_a_replay(watched: Watched, folder: Path) -> None:
    first = looked(watched, folder)
    assert first.concerns == (), first.concerns
    assert first.caught_up_at is not None
    pid = ScratchServer.attach(folder).pid

    archived(watched, 1)
    second = looked(watched, folder)
    assert second.concerns == ()
    assert second.waiting == 0
    assert second.lsn is not None
    assert first.lsn is not None
    assert second.lsn > first.lsn
    assert second.since == first.since
    assert ScratchServer.attach(folder).pid == pid, "it stays up between the runs"
    kept = ArchiveProofs(watched.workspace.store("primary")).newest("labdojo", "main-db", "primary", "replay")
    assert kept == second

    # It died, and meanwhile a segment got lost: brought back, it stops in front of the gap and says so.
    ScratchServer.end(folder)
    lost, *_ = archived(watched, 3)
    aside = lost.rename(folder / "aside")
    gap = looked(watched, folder)
    assert [concern.cause for concern in gap.concerns] == ["wal missing"], gap.concerns
    assert lost.name[:24] in gap.concerns[0].sentence
    assert gap.recoverable_at is not None
    again = looked(watched, folder)
    assert [concern.cause for concern in again.concerns] == ["wal missing"]

    checked = check_wal(watched.workspace, watched.system, watched.source, "primary")
    assert "wal missing" in {concern.cause for concern in checked.concerns}, checked.concerns

    # Recovery from the older backup stays broken; from a new one it is sound, and the replay begins there by itself.
    watched.back_up("weekly-full")
    anew = looked(watched, folder)
    assert anew.concerns == (), anew.concerns
    assert anew.proven_from != gap.proven_from
    aside.rename(lost)


def test_the_hourly_check_sees_a_segment_arrive_everywhere(watched: Watched) -> None:
    for store in ("primary", "offsite"):
        assert check_wal(watched.workspace, watched.system, watched.source, store).concerns == ()
