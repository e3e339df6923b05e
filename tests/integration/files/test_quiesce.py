"""Live files are backed up while their writers hold still, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.errors import SourceError
from tests.fixtures.content import ContentPlace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.demand("L13")
def test_writers_hold_still_while_a_live_volume_is_read(
    content_place: Callable[..., ContentPlace], tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "state").write_text("whole")
    place = content_place({
        "kind": "files", "paths": [str(volume)], "live": [str(volume)],
        "quiesce": {
            "before": [["touch", f"{volume}/held"]],
            "after": [["rm", "-f", f"{volume}/held"], ["touch", f"{tmp_path}/let-go"]],
        },
    })  # fmt: skip
    _, folder = place.prove()
    assert (folder / "root" / str(volume)[1:] / "held").exists(), "it was read while its writers held still"
    assert not (volume / "held").exists()
    assert (tmp_path / "let-go").exists()


@pytest.mark.demand("L13")
def test_writers_are_let_go_when_the_backup_fails_and_there_is_no_backup_when_they_cannot_be_held(
    content_place: Callable[..., ContentPlace], tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    place = content_place({
        "kind": "files", "paths": [str(volume)], "live": [str(volume)],
        "quiesce": {"before": [["test", "-e", f"{tmp_path}/may"]], "after": [["touch", f"{tmp_path}/let-go"]]},
    })  # fmt: skip
    with pytest.raises(SourceError, match=r"depot/main: nothing was read, since quiesce\.before failed"):
        place.back_up()
    assert (tmp_path / "let-go").exists()
    (tmp_path / "let-go").unlink()
    (tmp_path / "may").touch()
    volume.rmdir()
    with pytest.raises(SourceError, match="missing"):
        place.back_up()
    assert (tmp_path / "let-go").exists()
    assert place.backups() == []
