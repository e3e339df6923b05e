from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from include.recovery.jobs import Stopped
from include.recovery.objects.in_order import READY_AHEAD, Later, in_order


def test_results_come_in_the_order_of_the_jobs() -> None:
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    jobs = (Later(partial(slow, n)) if n % 2 else n for n in range(40))
    assert list(in_order(jobs, threads=4, stop=threading.Event())) == list(range(40))


def test_little_waits_behind_a_slow_one() -> None:
    asked = []
    go = threading.Event()

    def jobs() -> Iterator[int | Later[int]]:
        yield Later(lambda: 0 if go.wait(10) else -1)
        for number in range(1, 5 * READY_AHEAD):
            asked.append(number)
            if number == READY_AHEAD:
                go.set()
            yield number

    results = in_order(jobs(), threads=2, stop=threading.Event())
    assert next(results) == 0
    assert len(asked) <= READY_AHEAD + 1
    assert list(results) == list(range(1, 5 * READY_AHEAD))


def test_the_first_failure_ends_the_rest_at_its_turn() -> None:
    def fail() -> int:
        raise ValueError("here")

    done = []
    results = in_order([1, Later(fail), Later(lambda: done.append(1) or 2), 3], threads=1, stop=threading.Event())
    assert next(results) == 1
    with pytest.raises(ValueError, match="here"):
        list(results)


def test_it_stops_when_it_is_told() -> None:
    stop = threading.Event()
    results = in_order((Later(partial(int, n)) for n in range(100)), threads=2, stop=stop)
    assert next(results) == 0
    stop.set()
    with pytest.raises(Stopped):
        list(results)
