"""The steps of a drill without a server: what they refuse, and which proofs they leave."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.recovery.catalog.model import CompleteBackup, Manifest, ProofLevel
from include.recovery.drills import physical
from include.recovery.drills.aim import Aim, Drilled
from include.recovery.drills.physical import PhysicalDrill, require_identical
from include.recovery.errors import BackupCorrupt, BackupNotFound, CopyLost, NotIdentical, Refused
from include.recovery.evidence.model import Check, Outcome
from include.recovery.fingerprint.model import Comparison, Difference
from include.recovery.pgbackrest.target import Target
from include.recovery.sources import RunInfo, pgbackrest
from include.recovery.workspace import Workspace
from tests.recovery.catalog.test_points import point

NOW = datetime.now(UTC).replace(microsecond=0)
DIFFERENT = Comparison(
    identical=False, compared_tables=2, compared_rows=10, not_compared=(),
    differences=(Difference(object="public.users", kind="content", message="public.users has other rows"),),
)  # fmt: skip
SAME = Comparison(identical=True, compared_tables=2, compared_rows=10, differences=(), not_compared=())


@pytest.fixture
def drill(folder_workspace: Workspace, tmp_path: Path) -> PhysicalDrill:
    system = folder_workspace.system("labdojo")
    drilled = Drilled(folder_workspace, system, system.source("main-db"), "primary", NOW)
    return PhysicalDrill(drilled, tmp_path / "scratch" / "s", RunInfo(run_id="r", started_by="a test"))


@pytest.fixture
def aim(drill: PhysicalDrill, make_cluster_backup: Callable[..., Manifest]) -> Aim:
    made = make_cluster_backup(NOW - timedelta(hours=1))
    return Aim(point(1), drill.drilled.backup(made.id), "20261121-070000F", 12.0)


def left(drill: PhysicalDrill, aim: Aim) -> list[tuple[ProofLevel, bool, str]]:
    proofs = drill.drilled.backup(aim.backup.manifest.id).proofs
    assert {proof.store for proof in proofs} <= {"primary"}
    return [(proof.level, proof.ok, proof.detail) for proof in proofs]


def test_a_copy_whose_server_died_proves_nothing(drill: PhysicalDrill, aim: Aim) -> None:
    for step in (drill.compare, drill.ask, drill.check_structure):
        with pytest.raises(CopyLost, match="labdojo/main-db: no scratch server runs"):
            step(aim)
    with pytest.raises(CopyLost):
        drill.check_heartbeat(NOW, aim.backup)
    assert left(drill, aim) == []


def test_what_differs_is_a_failed_proof_that_only_an_identical_copy_lifts(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PhysicalDrill, "copy", lambda _: None)
    found = [DIFFERENT, SAME]
    monkeypatch.setattr(physical, "compare_with_point", lambda *_, **__: found.pop(0))
    with pytest.raises(NotIdentical, match="here: not identical: .*: public.users has other rows"):
        require_identical(drill.compare(aim), "here")
    assert left(drill, aim) == [(ProofLevel.IDENTICAL, False, DIFFERENT.verdict)]
    assert drill.drilled.backup(aim.backup.manifest.id).damaged
    require_identical(drill.compare(aim), "here")
    assert not drill.drilled.backup(aim.backup.manifest.id).damaged


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED])
def test_answers_are_a_proof_either_way(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    monkeypatch.setattr(PhysicalDrill, "copy", lambda _: None)
    monkeypatch.setattr(physical, "ask", lambda *_, **__: [Check(name="users", outcome=outcome, found="0")])
    drill.ask(aim)
    ((level, ok, detail),) = left(drill, aim)
    assert (level, ok, detail[:6]) == (ProofLevel.VALIDATED, outcome is Outcome.PASSED, f"{int(ok)} of 1")


def test_a_damaged_page_outlasts_another_restore(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = SimpleNamespace(server=lambda: None, shut_down=lambda: None)
    monkeypatch.setattr(physical.ScratchServer, "attach", lambda _: server)
    monkeypatch.setattr(physical, "find", lambda *_, **__: None)
    monkeypatch.setattr(physical, "check_structure", lambda *_, **__: ("the index lacks a row",))
    monkeypatch.setattr(physical, "check_checksums", lambda *_, **__: None)
    assert drill.check_structure(aim).outcome is Outcome.FAILED
    skipped = drill.check_checksums(aim)
    assert (skipped.outcome, skipped.required) == (Outcome.SKIPPED, False)
    drill._proven(aim.backup, ProofLevel.RESTORED, 1.0, "restored again")
    assert drill.drilled.backup(aim.backup.manifest.id).damaged


def test_a_restore_that_finds_damage_leaves_it_on_record(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore(*_: Any, **__: Any) -> None:
        raise BackupCorrupt("base/16384/2619 has another checksum")

    monkeypatch.setattr(pgbackrest, "restore", restore)
    with pytest.raises(BackupCorrupt, match="another checksum"):
        drill.recover_to_point(aim)
    assert left(drill, aim) == [(ProofLevel.RESTORED, False, "base/16384/2619 has another checksum")]


def test_wal_that_only_its_content_shows_to_be_damaged_is_named_and_no_fault_of_the_backup(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def restore(*_: Any, **__: Any) -> None:
        drill.directory.mkdir(parents=True, exist_ok=True)
        (drill.directory / "server.log").write_text("FATAL:  recovery ended before the target")
        raise BackupNotFound("the archived WAL ends before the point")

    def what_ended(_: Drilled, backup: CompleteBackup, log: str) -> tuple[str, ...]:
        asked.append(log)
        return ("WAL segment 09 is truncated",) if len(asked) == 1 else ()

    monkeypatch.setattr(pgbackrest, "restore", restore)
    monkeypatch.setattr(Drilled, "what_ended", what_ended)
    with pytest.raises(BackupCorrupt, match="WAL segment 09 is truncated; the archived WAL ends before the point"):
        drill.recover_to_point(aim)
    with pytest.raises(BackupNotFound, match="ends before the point"):
        drill.recover_to_point(aim)
    assert asked == ["FATAL:  recovery ended before the target"] * 2
    assert left(drill, aim) == []


def test_a_copy_that_would_fill_the_disk_is_refused_before_it_is_begun(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=aim.backup.manifest.source_size - 1))
    with pytest.raises(Refused, match=r"has 3\.9 KiB free, and backup .* needs 3\.9 KiB; make room"):
        drill._restore(aim.backup, Target.newest(), physical.NO_PROGRESS)


def test_a_second_is_reached_when_its_heartbeat_says_so(
    drill: PhysicalDrill, aim: Aim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PhysicalDrill, "copy", lambda _: None)
    beat = SimpleNamespace(at=NOW - timedelta(seconds=20), beat=7)
    monkeypatch.setattr(physical, "read_heartbeat", lambda _: beat)
    backup: CompleteBackup = aim.backup
    assert drill.check_heartbeat(NOW, backup) == 20
    with pytest.raises(NotIdentical, match="labdojo/main-db: the copy recovered to .* went beyond"):
        drill.check_heartbeat(NOW - timedelta(seconds=30), backup)
    ((level, ok, detail),) = left(drill, aim)
    assert (level, ok) == (ProofLevel.RESTORED, True)
    assert detail.endswith("its newest heartbeat is 20 s older")
