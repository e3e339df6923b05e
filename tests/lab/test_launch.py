"""The tree that runs is a copy: whole, readable, and without what only belongs to the checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from include.lab.launch import bring_home, copy, main, mirror


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for path in (
        "dags/backup.py",
        "include/x/__init__.py",
        ".git/HEAD",
        "include/x/__pycache__/x.pyc",
        ".ruff_cache/y",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "dags" / "backup.py").chmod(0o600)
    return root


def test_a_copy_is_readable_and_has_no_caches(tree: Path, tmp_path: Path) -> None:
    copy(tree, tmp_path / "copy")
    found = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert found == {"dags/backup.py", "include/x/__init__.py"}
    assert (tmp_path / "copy/dags/backup.py").stat().st_mode & 0o044 == 0o044


def test_a_mirror_follows_the_tree_and_leaves_the_rest_untouched(tree: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    mirror(tree, project)
    os.utime(project / "include/x/__init__.py", (1, 1))
    (tree / "dags/backup.py").write_text("changed")
    (tree / "dags/new.py").write_text("new")
    (project / "dags/gone.py").write_text("gone")
    mirror(tree, project)
    assert (project / "dags/backup.py").read_text() == "changed"
    assert (project / "dags/new.py").exists()
    assert not (project / "dags/gone.py").exists()
    assert (project / "include/x/__init__.py").stat().st_mtime == 1


def test_reports_come_home_and_nothing_else(tree: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "docs").mkdir(parents=True)
    (tree / "docs").mkdir()
    (project / "docs/demands.md").write_text("proven")
    (project / "docs/other.md").write_text("scratch")
    bring_home(project, tree)
    assert (tree / "docs/demands.md").read_text() == "proven"
    assert not (tree / "docs/other.md").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="as root it would change users")
def test_a_command_runs_in_a_copy_that_is_removed(tree: Path, tmp_path: Path) -> None:
    note = tmp_path / "where"
    script = f"import os, pathlib; pathlib.Path({str(note)!r}).write_text(os.getcwd()); raise SystemExit(7)"
    home = tmp_path / "home"
    home.mkdir()
    assert main([sys.executable, "-c", script], tree, home, "nobody") == 7
    place = Path(note.read_text())
    assert place != tree
    assert not place.exists()
