"""What a drill aims at: points of the store, the backup of its catalog, WAL of a listing; always the same second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from include.recovery.catalog.model import Manifest
from include.recovery.catalog.points import Heartbeat, RecoveryPoint, RecoveryPoints
from include.recovery.drills.aim import Drilled, Look
from include.recovery.errors import BackupCorrupt, BackupNotFound
from include.recovery.pgbackrest.check import ArchiveReport
from include.recovery.pgbackrest.segments import Lineage
from include.recovery.pgbackrest.wal import examine, needed_by
from include.recovery.workspace import Workspace
from tests.recovery.catalog.test_points import FINGERPRINT
from tests.recovery.pgbackrest.conftest import START, SYSTEM, archive, backup_json, info, name

MINUTE = timedelta(minutes=1)
BACKED_UP = START + 3 * MINUTE
LABEL = f"{BACKED_UP:%Y%m%d-%H%M%S}F"


@pytest.fixture
def aimed(
    folder_workspace: Workspace, make_cluster_backup: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Drilled]:
    """A drill that begins at minute 20, over a repository with these segments, one a minute."""
    made = make_cluster_backup(BACKED_UP)
    system = folder_workspace.system("labdojo")

    def aim(segments: Any = range(1, 19), *points: RecoveryPoint, known: bool = True) -> Drilled:
        assert made.physical is not None
        label = made.physical.label if known else "20261121-070200F"
        found = info(backup_json(label, minute=3, wal=(name(2), name(3))))
        listed = archive(segments)
        problems = examine(listed, Lineage(1), needed_by(found.backups, START))
        stanza = SimpleNamespace(system=system, source=system.source("main-db"))
        look = Look(stanza, 1, ArchiveReport(listed, Lineage(1), problems, {}), found)  # type: ignore[arg-type]
        monkeypatch.setattr(Drilled, "look", lambda _: look)
        for each in points:
            RecoveryPoints(folder_workspace.store("primary")).record(each)
        return Drilled(folder_workspace, system, system.source("main-db"), "primary", START + 20 * MINUTE)

    return aim


def point(minute: int, *, verifiable: bool = True) -> RecoveryPoint:
    at = START + minute * MINUTE
    return RecoveryPoint(
        system="labdojo", source="main-db", name=f"lifeboat_{minute}", kind="verifiable" if verifiable else "heartbeat",
        at=at, lsn=f"0/{minute:X}000100", timeline=1, system_identifier=SYSTEM, waited_ms=1, attempts=1,
        fingerprint=FINGERPRINT if verifiable else None, heartbeat=Heartbeat(beat=minute, at=at),
    )  # fmt: skip


def test_the_newest_point_with_its_backup_and_the_age_of_what_a_disaster_would_have_left(aimed: Any) -> None:
    drilled = aimed(range(1, 19), point(9), point(15), point(16, verifiable=False), point(30))
    aim = drilled.pick()
    assert aim.point.name == "lifeboat_15", "lifeboat_30 was made after the drill began"
    assert aim.backup.manifest.physical is not None
    assert aim.label == aim.backup.manifest.physical.label == LABEL
    assert aim.archive_age == 2 * 60
    assert "lifeboat_16 was passed over" in aim.notes[0]
    assert "none missing since 2026-11-21 07:03:00+00" in drilled.check_archive()


def test_a_person_may_name_the_point(aimed: Any) -> None:
    drilled = aimed(range(1, 19), point(9), point(15))
    assert drilled.pick("lifeboat_9").point.name == "lifeboat_9"
    assert drilled.pick(f"newest point before {(START + 10 * MINUTE).isoformat()}").point.name == "lifeboat_9"
    with pytest.raises(BackupNotFound, match="no recovery point 'lifeboat_10'"):
        drilled.pick("lifeboat_10")


def test_a_hole_is_named_and_the_archive_ends_before_it(aimed: Any) -> None:
    drilled = aimed([*range(1, 12), *range(13, 19)], point(9), point(15))
    with pytest.raises(BackupCorrupt) as found:
        drilled.check_archive()
    assert f"WAL segment {name(12)} is missing" in str(found.value)
    assert "point lifeboat_15 of 2026-11-21T07:15:00+00:00 cannot be restored" in str(found.value)
    aim = drilled.pick()
    assert (aim.point.name, aim.archive_age) == ("lifeboat_9", 9 * 60)


def test_no_point_and_a_backup_that_the_catalog_does_not_know(aimed: Any) -> None:
    with pytest.raises(BackupNotFound, match="labdojo/main-db, store primary: none of 0 recovery points is verifiable"):
        aimed().pick()
    drilled = aimed(range(1, 19), point(9), known=False)
    with pytest.raises(BackupNotFound, match="the catalog there does not know it; the next backup takes it in"):
        drilled.pick()


def test_each_try_of_a_run_draws_the_same_second_of_the_window(aimed: Any) -> None:
    drilled = aimed(range(1, 19), point(15))
    drawn = {seed: drilled.draw(seed) for seed in map(str, range(30))}
    assert drawn == {seed: drilled.draw(seed) for seed in drawn}
    assert len({second for second, _ in drawn.values()}) > 15
    for second, window in drawn.values():
        assert window.last == START + 15 * MINUTE - timedelta(seconds=1), "the heartbeat before the point is archived"
        assert START + 4 * MINUTE <= second <= window.last
        assert "the window begins at 2026-11-21 07:03:00+00" in (window.short or "")
