"""Files of a folder as git would name them, and what an archive leaves out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include.recovery.errors import BackupCorrupt
from include.recovery.git.trees import Entry, attributes, files_in, left_out_at


def test_files_are_named_as_git_names_them_and_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("hello\n")
    (tmp_path / "a.b").write_bytes(b"")
    (tmp_path / "a0").symlink_to("nowhere")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe4")).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.b").chmod(0o755)
    found = list(files_in(tmp_path, "sha1"))
    assert [item.name for item in found] == ["archive/a.b", "archive/a/x", "archive/a0", "archive/\udce4"]
    assert [item.order for item in found] == sorted(item.order for item in found)
    assert found[0].digest == "100755 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert found[1].digest == "100644 ce013625030ba8dba906f756967f9e9ca394464a"
    assert found[2].digest.startswith("120000 ")
    assert found[1].size == 6


def test_what_git_cannot_hold_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BackupCorrupt, match="pipe' is neither file nor link"):
        list(files_in(tmp_path, "sha1"))


def test_old_modes_mean_the_same() -> None:
    assert Entry(b"x", "100664", "1", 0).item.digest == "100644 1"
    assert Entry(b"x", "100775", "1", 0).item.digest == "100755 1"
    assert Entry(b"x", "160000", "1", 0).submodule


@pytest.mark.parametrize(("path", "at"), [
    (b"dist/app.js", b"dist"), (b"web/node_modules/x/y", b"web/node_modules"), (b"distribution/x", None),
    (b"src/dist", b"src/dist"), (b"a/b.log", b"a/b.log"), (b"\xe4/dist/x", b"\xe4/dist"), (b"src/app.py", None),
])  # fmt: skip
def test_what_is_left_out_is_known_by_name_at_any_depth(path: bytes, at: bytes | None) -> None:
    assert left_out_at(path, ("node_modules", "dist", "*.log")) == at


def test_only_the_policy_leaves_out() -> None:
    first, *others = attributes(("dist", "*.log")).splitlines()
    assert first.startswith("* -export-ignore -export-subst -text ")
    assert others == ["dist export-ignore", "*.log export-ignore"]
