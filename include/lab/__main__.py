"""``python -m include.lab demo`` and ``python -m include.lab down``: what ``make demo`` and ``make demo-down`` call."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from rich.console import Console

from include.lab.demo import Demo
from include.lab.lab import Lab
from include.lab.steps import Timing
from include.recovery.errors import LifeboatError

WIDTH = 150  # of the table, where no terminal has a width
USAGE = "usage: python -m include.lab demo|down"


def demo(console: Console) -> int:
    """Start and prove everything; an interrupted one stops again what it started."""
    lab = Lab.from_environment()
    before = set(lab.registry.names_running())
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        Demo(lab, console, Timing()).run()
    except KeyboardInterrupt:
        console.print("\n[yellow]Interrupted: stopping what was started")
        lab.stop(keep=before)
        os._exit(128 + signal.SIGINT)  # steps that still wait for something must not hold the end up
    except LifeboatError as error:
        console.print(f"[red]{error}", highlight=False)
        console.print(f"Logs are in {lab.registry.logs}; make demo goes on from here, make demo-down stops everything.")
        return 1
    return 0


def down(console: Console) -> int:
    """Stop everything; data stay for the next start."""
    lab, begun = Lab.from_environment(), time.monotonic()
    stopped = lab.stop()
    console.print(
        f"Stopped {len(stopped)} servers in {time.monotonic() - begun:.0f} s; their data are in {lab.directory}."
    )
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    commands = {"demo": demo, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(USAGE)
    terminal = Console()
    sys.exit(commands[sys.argv[1]](terminal if terminal.is_terminal else Console(width=WIDTH)))
