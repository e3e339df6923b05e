"""Processes that outlive the task that starts them, and are found and ended by another."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from include.recovery.content import scratch_process
from include.recovery.errors import LifeboatError

ENV = {"PATH": os.environ["PATH"]}


def started(place: Path, *argv: str, alone: bool = False) -> scratch_process.ScratchProcess:
    place.mkdir(exist_ok=True)
    return scratch_process.start(place, argv, env=ENV, alone=alone)


def test_started_once_found_again_and_ended(tmp_path: Path) -> None:
    place = tmp_path / "it"
    first = started(place, "/bin/sleep", "60")

    assert started(place, "/bin/sleep", "60") == first == scratch_process.attach(place)
    assert first.running
    assert Path(f"/proc/{first.pid}/cwd").readlink() == place
    scratch_process.remove(place)
    assert not first.running
    assert not place.exists()
    scratch_process.remove(place)


def test_what_ends_at_once_says_why(tmp_path: Path) -> None:
    place = tmp_path / "it"

    def start() -> None:
        process = started(place, "/bin/ls", "/no/such/folder")
        scratch_process.wait_ready(place, process, lambda: False, seconds=5)

    with pytest.raises(LifeboatError, match="ended .*cannot access"):
        start()


def test_what_is_never_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    place = tmp_path / "it"
    process = started(place, "/bin/sh", "-c", "echo patience; exec sleep 60")
    with pytest.raises(LifeboatError, match="not ready after 0 s: patience"):
        scratch_process.wait_ready(place, process, lambda: False, seconds=0.3)
    scratch_process.remove(place)


def test_a_number_that_belongs_to_somebody_else_is_not_touched(tmp_path: Path) -> None:
    place = tmp_path / "it"
    process = started(place, "/bin/sleep", "60")
    record = place / "process.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "started": process.started - 1, "program": "no"}))

    assert scratch_process.attach(place) is None
    scratch_process.end(place)

    assert process.running
    os.kill(process.pid, 9)


def test_alone_it_has_a_network_of_its_own(tmp_path: Path) -> None:
    place = tmp_path / "it"
    process = started(place, "/bin/sleep", "60", alone=True)
    end = time.monotonic() + 5
    while Path(f"/proc/{process.pid}/exe").readlink().name != "sleep" and time.monotonic() < end:
        time.sleep(0.02)

    assert Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    scratch_process.remove(place)
    assert not process.running
