"""The processes that work with one file of options."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from include.recovery.pgbackrest import workplace
from include.recovery.pgbackrest.configuration import Folders

_PROGRAM = """exec -a /usr/bin/pgbackrest python3 -c 'import time; print("up", flush=True); time.sleep(60)' "$0" """


def working_with(folders: Folders) -> subprocess.Popen[bytes]:
    """Something that looks like pgBackRest, and runs."""
    process = subprocess.Popen(["bash", "-c", _PROGRAM, f"--config={folders.config}"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_what_works_with_a_file_of_options_is_ended_and_nothing_else(tmp_path: Path) -> None:
    here, other = Folders(tmp_path / "here"), Folders(tmp_path / "other")
    with working_with(here) as first, working_with(other) as second:
        try:
            workplace.end_processes(here)
            assert first.wait(5) == -signal.SIGTERM
            assert second.poll() is None
            began = time.monotonic()
            workplace.end_processes(here)
            assert time.monotonic() - began < 5, "nothing there was waited for"
        finally:
            first.kill()
            second.kill()
