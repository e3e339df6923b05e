"""A server in a copy's folder: found again by another process, never mistaken for one, ended by its id."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from include.recovery.content import scratch_server
from include.recovery.errors import CopyLost, LifeboatError

ENV = dict(os.environ)


def _sleeper(folder: Path) -> scratch_server.Server:
    scratch_server.fresh(folder)
    return scratch_server.launch(["sleep", "60"], folder, "1234", env=ENV, prefixes=("shop.",))


def test_it_is_found_again_and_ended(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    server = _sleeper(folder)
    assert scratch_server.running(folder) == server
    assert server.prefixes == ("shop.",)
    assert folder.stat().st_mode & 0o077 == 0
    scratch_server.discard(folder)
    assert not server.running
    assert not folder.exists()
    scratch_server.discard(folder)  # nothing there is fine too


def test_a_process_id_that_was_given_to_another_is_not_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    server = _sleeper(folder)
    record = folder / "server.json"
    fields = json.loads(record.read_text())
    record.write_text(json.dumps(fields | {"started": fields["started"] - 1}))
    with pytest.raises(CopyLost, match="restore the backup again"):
        scratch_server.running(folder)
    scratch_server.discard(folder)
    assert server.running, "a stranger's process was ended"
    record.parent.mkdir()
    record.write_text(json.dumps(fields))
    scratch_server.discard(folder)
    assert not server.running


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    scratch_server.fresh(folder)
    server = scratch_server.launch(["sh", "-c", "echo the disk is full; exit 3"], folder, "", env=ENV)
    with pytest.raises(LifeboatError, match=r"sh did not start in .*: the disk is full"):
        scratch_server.wait_until_ready(lambda: False, lambda: server.running, folder, "sh")
    scratch_server.discard(folder)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LifeboatError, match="no-such-server is not on PATH"):
        scratch_server.launch(["no-such-server"], tmp_path, "", env=ENV)
