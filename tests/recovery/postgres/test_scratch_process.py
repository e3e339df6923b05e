"""What a server says of its process, from the first moment on."""

from __future__ import annotations

from pathlib import Path

from include.recovery.postgres.scratch_process import has_begun, postmaster


def test_a_file_without_its_text_is_no_beginning(tmp_path: Path) -> None:
    assert not has_begun(tmp_path)
    file = tmp_path / "postmaster.pid"
    file.write_text("")
    assert not has_begun(tmp_path)
    file.write_text("12345")
    assert not has_begun(tmp_path), "half a number would be another process"
    file.write_text("12345\n/data\n")
    assert has_begun(tmp_path)
    assert postmaster(tmp_path) == 12345
