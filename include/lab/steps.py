"""Work with dependencies, done in parallel, shown while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

Report = Callable[[str], None]
"""Called by a step with a few words on where it is."""


@dataclass(frozen=True)
class Step:
    """One piece of work.

    :param name: unique; ``needs`` of other steps refer to it.
    :param label: what people read.
    :param work: gets a function by which it tells where it is.
    """

    name: str
    label: str
    work: Callable[[Report], object]
    needs: tuple[str, ...] = ()


@dataclass
class Timing:
    """How long each step took, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)


def run_steps(console: Console, steps: Sequence[Step], timing: Timing, *, workers: int = 8) -> None:
    """Run all steps, each as soon as what it needs is done.

    :raises Exception: the first that a step raised, after those that were running have ended; no new ones start.
    """
    with _display(console) as progress:
        pool = ThreadPoolExecutor(workers)
        try:
            _run(console, list(steps), timing, progress, pool)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)  # who interrupts ends the process, whatever still waits
            raise
        pool.shutdown()


def _run(
    console: Console, waiting: list[Step], timing: Timing, progress: Progress, pool: ThreadPoolExecutor
) -> None:
    running = dict[Future[object], tuple[Step, TaskID, float]]()
    done: set[str] = set()
    failure: BaseException | None = None
    while waiting or running:
        for step in [each for each in waiting if done.issuperset(each.needs)] if failure is None else []:
            waiting.remove(step)
            line = progress.add_task(step.label, total=None, where="")
            future = pool.submit(step.work, partial(_report, progress, line))
            running[future] = (step, line, time.monotonic())
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            step, line, begun = running.pop(future)
            timing.seconds[step.name] = took = time.monotonic() - begun
            error = future.exception()
            failure = failure or error
            done.add(step.name)
            progress.update(line, total=1, completed=0 if error else 1, visible=console.is_terminal)
            progress.stop_task(line)
            if not console.is_terminal:
                console.print(f"  {'failed' if error else 'done'} {step.label} ({took:.1f} s)")
    if failure is not None:
        raise failure


def _report(progress: Progress, line: TaskID, words: str) -> None:
    progress.update(line, where=words)


def _display(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[where]}"),
        console=console,
        disable=not console.is_terminal,
    )
