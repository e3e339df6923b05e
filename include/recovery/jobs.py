"""Jobs on a few threads that stop together: the first failure ends all, and is the one that is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from include.recovery.errors import LifeboatError


class Stopped(LifeboatError):
    """The job was told to stop from outside, before it could finish; whoever stopped it knows why."""

    def __init__(self) -> None:
        super().__init__("the work was stopped before it could finish; nothing that it wrote counts")


@contextmanager
def stopped_by(*events: threading.Event | None) -> Iterator[threading.Event]:
    """An event of one's own that is set when any of these is; setting it does not set them.

    :param events: None among them is ignored.
    """
    given = [event for event in events if event is not None]
    stop, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            if any(event.is_set() for event in given):
                stop.set()
                return

    if any(event.is_set() for event in given):
        stop.set()
    watcher = threading.Thread(target=watch, name="stop-watcher", daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        done.set()
        watcher.join()


def run_parallel(
    jobs: Sequence[Callable[[], None]],
    *,
    workers: int,
    stop: threading.Event,
    beside: Sequence[Callable[[], None]] = (),
) -> None:
    """Run jobs in the given order on a few threads; the first failure stops all and is raised.

    Each thread lives until its last job is done, so the children that its jobs start do not lose their parent thread.

    :param workers: threads for ``jobs``; at least 1.
    :param stop: set at the first failure; jobs that have not begun then never begin.
    :param beside: jobs that run at the same time, each on a thread of its own.
    :raises Stopped: when the event was set from outside before any job failed.
    """
    queue = list(reversed(jobs))
    lock = threading.Lock()
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            with lock:
                # What fails after the stop fails because of it.
                if not stop.is_set():
                    failures.append(error)
                stop.set()

    def work() -> None:
        while not stop.is_set():
            with lock:
                if not queue:
                    return
                job = queue.pop()
            run(job)

    threads = [threading.Thread(target=work, name=f"job-{n}") for n in range(max(1, min(workers, len(jobs))))]
    threads += [threading.Thread(target=run, args=(job,), name="job-beside") for job in beside]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join()
        raise
    if failures:
        raise failures[0]
    if stop.is_set():
        raise Stopped
