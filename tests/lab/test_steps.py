"""Steps run as soon as what they need is done, and stop at the first failure."""

from __future__ import annotations

import io
import threading
import time

import pytest
from rich.console import Console

from include.lab.errors import LabError
from include.lab.steps import Report, Step, Timing, run_steps


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def test_a_step_waits_for_what_it_needs_and_for_nothing_else(console: Console) -> None:
    done: list[str] = []
    both = threading.Barrier(2, timeout=5)

    def together(name: str, report: Report) -> None:
        report("waiting")
        both.wait()
        done.append(name)

    steps = [
        Step("last", "Last", lambda _report: done.append("last"), ("left", "right")),
        Step("left", "Left", lambda report: together("left", report)),
        Step("right", "Right", lambda report: together("right", report)),
    ]
    timing = Timing()
    run_steps(console, steps, timing)
    assert done[-1] == "last"
    assert set(timing.seconds) == {"left", "right", "last"}


def test_after_a_failure_nothing_new_begins(console: Console) -> None:
    begun: list[str] = []

    def fails(_report: Report) -> None:
        raise LabError("no disk")

    steps = [
        Step("first", "First", fails),
        Step("second", "Second", lambda _report: begun.append("second"), ("first",)),
    ]
    with pytest.raises(LabError, match="no disk"):
        run_steps(console, steps, Timing())
    assert begun == []


def test_an_interruption_does_not_wait_for_steps_that_still_run(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, begun = threading.Event(), threading.Event()

    def waits(_report: Report) -> None:
        begun.set()
        let_go.wait(10)

    def interrupt(*_: object, **__: object) -> None:
        begun.wait(5)
        raise KeyboardInterrupt

    monkeypatch.setattr("include.lab.steps.wait", interrupt)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_steps(console, [Step("slow", "Slow", waits)], Timing())
    assert time.monotonic() - began < 5
    let_go.set()
