"""Writers hold still while files are read, and are always let go."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from include.recovery.errors import SourceError, StoreUnavailable, ToolFailed
from include.recovery.evidence.model import Outcome
from include.recovery.files.commands import ask, held_still, run_command
from include.recovery.policy.source_kinds.files import FileCheck, Quiesce

SOON = timedelta(seconds=20)


def quiesce(tmp_path: Path, **changed: object) -> Quiesce:
    marks = {"before": [["touch", f"{tmp_path}/paused"]], "after": [["rm", "-f", f"{tmp_path}/paused"]]}
    return Quiesce.model_validate({"timeout": "20s", **marks, **changed})


def test_writers_hold_still_just_as_long_as_needed(tmp_path: Path) -> None:
    with held_still(quiesce(tmp_path), "here"):
        assert (tmp_path / "paused").exists()
    assert not (tmp_path / "paused").exists()
    with held_still(None, "here"):
        pass


def test_they_are_let_go_when_the_backup_fails(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable), held_still(quiesce(tmp_path), "here"):
        raise StoreUnavailable("the store is down")
    assert not (tmp_path / "paused").exists()


def test_nothing_is_read_when_a_command_before_fails_and_all_that_undo_run(tmp_path: Path) -> None:
    before = [["touch", f"{tmp_path}/paused"], ["false"], ["touch", f"{tmp_path}/never"]]
    with (
        pytest.raises(SourceError, match=r"nothing was read, since quiesce\.before failed: false ended"),
        held_still(quiesce(tmp_path, before=before), "here"),
    ):
        pytest.fail("it was read")
    assert list(tmp_path.iterdir()) == []


def test_a_command_behind_that_fails_is_an_alarm_and_the_others_run(tmp_path: Path) -> None:
    after = [["false"], ["rm", f"{tmp_path}/paused"]]
    with (
        pytest.raises(SourceError, match="here: .*may still hold still"),
        held_still(quiesce(tmp_path, after=after), "here"),
    ):
        pass
    assert not (tmp_path / "paused").exists()


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(ToolFailed, match="it took longer than"):
        run_command(["sleep", "60"], timedelta(milliseconds=200))


def test_a_command_that_is_missing_fails() -> None:
    with pytest.raises(ToolFailed, match="no-such-program"):
        run_command(["no-such-program"], SOON)


def test_commands_get_no_secrets_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://secret")
    assert "secret" not in run_command(["env"], SOON)


def test_a_question_is_asked_of_the_copy(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "app.conf").write_text("port = 1\n")
    check = FileCheck.model_validate({"name": "it has a port", "argv": ["grep", "port", "{copy}/etc/app.conf"]})
    passed = ask(check, tmp_path)
    assert (passed.outcome, passed.output) == (Outcome.PASSED, "port = 1\n")
    (tmp_path / "etc" / "app.conf").write_text("")
    failed = ask(check, tmp_path)
    assert (failed.outcome, failed.found) == (Outcome.FAILED, "exit code 1")
