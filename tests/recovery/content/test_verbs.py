"""The verbs that all kinds share, over the files of a small tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.content.port import Selection
from include.recovery.errors import BackupCorrupt, NotIdentical, PolicyError, Refused, SourceError
from include.recovery.evidence.model import Outcome
from include.recovery.sources import content_verbs, verbs
from tests.fixtures.content import ContentPlace

Make = Callable[..., ContentPlace]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "conf"
    (top / "sub").mkdir(parents=True)
    (top / "a").write_text("one")
    (top / "sub" / "b").write_text("two")
    return top


@pytest.fixture
def place(content_place: Make, tree: Path) -> ContentPlace:
    return content_place({"kind": "files", "paths": [str(tree)]})


def test_a_kind_is_found_by_its_name() -> None:
    assert verbs("files").kind.name == "files"
    with pytest.raises(PolicyError, match="is no kind that is backed up item by item"):
        content_verbs("postgres")


def test_a_backup_is_proven_by_restoring_and_comparing_it(place: ContentPlace) -> None:
    backup, _ = place.prove()
    assert backup.manifest.content is not None
    assert (backup.manifest.content.items, backup.manifest.content.size) == (4, 6)
    assert backup.manifest.source_size == 6
    proof = place.again(backup.manifest.id).proofs[-1]
    assert proof.detail.startswith("identical: 4 files compared, every one equal; not compared: ")


def test_a_selection_proves_no_more_than_that_it_can_be_restored(place: ContentPlace, tree: Path) -> None:
    backup, only = place.back_up(), Selection((str(tree / "sub"),))
    assert place.compare(backup, place.copy(backup, only), only).identical
    assert place.again(backup.manifest.id).level is ProofLevel.RESTORED


def test_a_difference_leaves_a_failed_proof_that_names_it(place: ContentPlace, tree: Path) -> None:
    backup = place.back_up()
    folder = place.copy(backup)
    (folder / "root" / str(tree)[1:] / "a").write_text("ONE")
    comparison = place.compare(backup, folder)
    assert not comparison.identical
    proof = place.again(backup.manifest.id).proofs[-1]
    assert (proof.level, proof.ok) == (ProofLevel.IDENTICAL, False)
    assert proof.failures == (f"{tree}/a is not what was backed up, and has the same 3 bytes",)


@pytest.mark.demand("R5")
def test_an_unchanged_source_needs_no_new_backup(place: ContentPlace, tree: Path) -> None:
    def unchanged() -> str | None:
        found = place.verbs.unchanged(place.workspace, place.system, place.source)
        return found.backup.manifest.id if found else None

    assert unchanged() is None
    backup = place.back_up()
    assert unchanged() == backup.manifest.id
    (tree / "a").write_text("new")
    assert unchanged() is None
    newer = place.back_up()
    assert unchanged() == newer.manifest.id
    (tree / "a").chmod(0o600)
    assert unchanged() is None


def test_a_preview_lists_what_would_change_and_touches_nothing(place: ContentPlace, tree: Path) -> None:
    backup = place.back_up()
    assert list(place.verbs.preview(place.workspace, backup)) == []
    (tree / "a").write_text("longer")
    (tree / "sub" / "b").unlink()
    (tree / "new").touch()
    found = [(change.name.rsplit("/", 1)[1], change.how) for change in place.verbs.preview(place.workspace, backup)]
    assert found == [("a", "content"), ("new", "unexpected"), ("b", "missing")]
    only = Selection((str(tree / "sub"),))
    assert [change.how for change in place.verbs.preview(place.workspace, backup, only=only)] == ["missing"]
    assert (tree / "a").read_text() == "longer"


@pytest.mark.parametrize("leave", ["", "depot", "depot/other", "other/main"])
def test_putting_back_needs_leave_for_just_that(place: ContentPlace, tree: Path, leave: str) -> None:
    backup = place.back_up()
    (tree / "a").write_text("kept")
    with pytest.raises(Refused, match="needs leave for just that"):
        place.verbs.put_back(place.workspace, backup, leave=leave)
    assert (tree / "a").read_text() == "kept"


def test_a_backup_that_fails_is_none(place: ContentPlace, tree: Path) -> None:
    (tree / "a").unlink()
    (tree / "sub" / "b").unlink()
    (tree / "sub").rmdir()
    tree.rmdir()
    with pytest.raises(SourceError, match=f"missing: {tree}"):
        place.back_up()
    assert place.backups() == []


def test_nothing_can_be_compared_without_an_inventory(place: ContentPlace, tmp_path: Path) -> None:
    backup = place.back_up()
    blind = backup.model_copy(update={"manifest": backup.manifest.model_copy(update={"content": None})})
    with pytest.raises(NotIdentical, match="without an inventory"):
        place.compare(blind, tmp_path)
    no_parts = backup.model_copy(update={"manifest": backup.manifest.model_copy(update={"parts": ()})})
    with pytest.raises(BackupCorrupt, match="has no inventory"):
        place.verbs.restore(place.workspace, no_parts, tmp_path / "copy")


def test_a_kind_without_questions_leaves_no_proof_of_them(place: ContentPlace) -> None:
    backup, folder = place.prove()
    assert place.verbs.validate(place.workspace, backup, folder) == []
    assert place.again(backup.manifest.id).level is ProofLevel.IDENTICAL


def test_questions_are_asked_and_their_answers_proven(content_place: Make, tree: Path) -> None:
    good = {"name": "a holds something", "argv": ["test", "-s", f"{{copy}}{tree}/a"]}
    bad = {"name": "there is a c", "argv": ["test", "-e", f"{{copy}}{tree}/c"]}
    place = content_place({"kind": "files", "paths": [str(tree)], "checks": [good, bad]})
    backup, folder = place.prove()
    checks = place.verbs.validate(place.workspace, backup, folder)
    assert [check.outcome for check in checks] == [Outcome.PASSED, Outcome.FAILED]
    proof = place.again(backup.manifest.id).proofs[-1]
    assert (proof.level, proof.ok) == (ProofLevel.VALIDATED, False)
    assert proof.failures == ("there is a c: found exit code 1, expected it succeeds",)


def test_expiring_removes_it_from_the_store(place: ContentPlace) -> None:
    backup = place.back_up()
    place.verbs.expire(place.workspace, backup, why="a test")
    assert place.backups() == []
