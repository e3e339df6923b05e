"""Children: their ends, their failures, their secrets, and that they do not outlive us."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from include.recovery.errors import ToolFailed
from include.recovery.jobs import Stopped, run_parallel, stopped_by
from include.recovery.processes import Child, Crew, redact, run_tool, secrets_of

ENV = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).parents[2]


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone_within(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_output_is_read_to_its_end() -> None:
    assert run_tool(sh("seq 3"), env=ENV) == b"1\n2\n3\n"


def test_the_end_of_a_failed_tools_output_is_an_error_and_no_end() -> None:
    with Child(sh("printf half; exit 3"), env=ENV, stdout="pipe") as child:
        stream = child.stdout
        assert stream.read(4) == b"half"
        with pytest.raises(ToolFailed, match="sh ended with exit code 3"):
            stream.read(1)


def test_a_killed_tool_is_named_with_its_signal() -> None:
    with pytest.raises(ToolFailed, match="was ended by signal 9") as caught:
        run_tool(sh("kill -9 $$"), env=ENV)
    assert caught.value.exit_code == -9


def test_secrets_are_cut_out_of_what_a_tool_says() -> None:
    env = {**ENV, "PGPASSWORD": "pl4nted", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    with pytest.raises(ToolFailed) as caught:
        run_tool(sh("echo oops $PGPASSWORD $AWS_SECRET_ACCESS_KEY >&2; exit 1"), env=env)
    assert "pl4nted" not in str(caught.value)
    assert "s3cret" not in caught.value.stderr
    assert "oops *** ***" in caught.value.stderr


def test_the_longest_secret_is_cut_first() -> None:
    assert redact("abcdef abc", ["abc", "abcdef", ""]) == "*** ***"
    assert secrets_of({"PGPASSWORD": "x", "PATH": "/bin", "PGPASSFILE": "/f"}) == ["x"]


def test_only_the_end_of_a_flood_of_words_is_kept() -> None:
    with pytest.raises(ToolFailed) as caught:
        run_tool(sh("yes blah | head -c 3000000 >&2; echo the reason >&2; exit 1"), env=ENV)
    assert len(caught.value.stderr) < 20_000
    assert caught.value.stderr.endswith("the reason\n")


def test_feeding_a_tool_that_stops_reading_is_an_error() -> None:
    with (
        Child(sh("head -c 10 >/dev/null"), env=ENV, stdin="pipe") as child,
        pytest.raises(ToolFailed, match="stopped reading"),
    ):
        child.feed(io.BytesIO(b"x" * 50_000_000))


def test_a_source_that_breaks_kills_the_tool_before_it_sees_an_end() -> None:
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            if not data:
                raise OSError("the store went away")
            return data

    with Child(sh("cat >/dev/null"), env=ENV, stdin="pipe") as child:
        with pytest.raises(OSError, match="the store went away"):
            child.feed(Breaking(b"x" * 100))
        assert not child.running
        assert child.wait() < 0


def test_the_stop_event_ends_all_children() -> None:
    stop = threading.Event()
    with Crew(stop) as crew, crew.child(["sleep", "60"], env=ENV) as child:
        stop.set()
        assert gone_within(child.pid)
    with Crew(stop) as crew, pytest.raises(Stopped), crew.child(["sleep", "60"], env=ENV):
        pass


def test_the_first_failure_stops_the_others_and_is_the_one_that_is_told() -> None:
    stop = threading.Event()
    pids: list[int] = []
    with Crew(stop) as crew:

        def long_job() -> None:
            with crew.child(["sleep", "60"], env=ENV) as child:
                pids.append(child.pid)
                child.check()

        def failing() -> None:
            while not pids:
                time.sleep(0.01)
            raise ValueError("the reason")

        never: list[int] = []
        with pytest.raises(ValueError, match="the reason"):
            run_parallel([long_job, failing, partial(never.append, 1)], workers=2, stop=stop)
    assert gone_within(pids[0])
    assert never == []


def test_a_stop_from_outside_is_no_failure_of_a_job() -> None:
    stop = threading.Event()

    def job() -> None:
        stop.set()
        raise ToolFailed("pg_dump", -15, "")

    with pytest.raises(Stopped):
        run_parallel([job], workers=1, stop=stop)


def test_jobs_beside_run_at_the_same_time_and_their_failure_counts() -> None:
    met = threading.Barrier(2, timeout=10)
    run_parallel([met.wait], workers=1, stop=threading.Event(), beside=[met.wait])  # type: ignore[list-item]

    def failing() -> None:
        raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"):
        run_parallel([], workers=1, stop=threading.Event(), beside=[failing])


def test_an_own_stop_does_not_reach_those_it_follows() -> None:
    outer = threading.Event()
    with stopped_by(outer, None) as own:
        own.set()
        assert not outer.is_set()
    with stopped_by(outer) as own:
        outer.set()
        assert own.wait(5)


@pytest.mark.parametrize("death_signal", ["KILL", "TERM"])
def test_a_child_dies_with_us_even_when_we_are_killed(death_signal: str) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from include.recovery.processes import Child\n"
        f"with Child(['sleep', '60'], env={{'PATH': '/usr/bin:/bin'}}, death_signal={death_signal!r}) as child:\n"
        "    print(child.pid, flush=True)\n"
        "    child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(ROOT)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    assert is_alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone_within(child)


def test_a_task_process_dies_with_its_supervisor() -> None:
    script = (
        "import os, sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from include.recovery.processes import die_with_parent\n"
        "if os.fork() == 0:\n"
        "    die_with_parent()\n"
        "    print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(ROOT)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    task = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone_within(task)
