"""Work on a few threads whose results come in the order of the jobs, with few of them waiting."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from include.recovery.jobs import Stopped

Out = TypeVar("Out")
READY_AHEAD = 1000
"""So many results may wait behind a slow one."""


@dataclass(frozen=True)
class Later(Generic[Out]):
    """A job whose result is not known yet."""

    work: Callable[[], Out]


def in_order(jobs: Iterable[Out | Later[Out]], *, threads: int, stop: threading.Event) -> Generator[Out]:
    """The results in the order of the jobs; what is no ``Later`` is a result already.

    The first failure is raised at its turn, and ends the rest.

    :param stop: ends the work when set.
    :raises Stopped: then.
    """
    waiting: deque[Future[Out] | tuple[Out]] = deque()
    busy: deque[Future[Out]] = deque()

    def guarded(work: Callable[[], Out]) -> Out:
        if stop.is_set():
            raise Stopped
        return work()

    def result(first: Future[Out] | tuple[Out]) -> Out:
        return first.result() if isinstance(first, Future) else first[0]

    pool = ThreadPoolExecutor(threads, thread_name_prefix="objects")
    try:
        for job in jobs:
            if stop.is_set():
                raise Stopped
            if not isinstance(job, Later):
                if not waiting:
                    yield job
                    continue
                waiting.append((job,))
            else:
                future = pool.submit(guarded, job.work)
                waiting.append(future)
                busy.append(future)
            while busy and busy[0].done():
                busy.popleft()
            while waiting and (len(busy) > 2 * threads or len(waiting) > READY_AHEAD or _is_done(waiting[0])):
                yield result(waiting.popleft())
                while busy and busy[0].done():
                    busy.popleft()
        while waiting:
            yield result(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _is_done(first: Future[Out] | tuple[Out]) -> bool:
    return not isinstance(first, Future) or first.done()
