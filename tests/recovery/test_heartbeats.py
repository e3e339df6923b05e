"""Each source beats at its policy's pace; one that fails is told of once, and holds up nobody."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from include.recovery import heartbeats
from include.recovery.catalog.points import Heartbeat
from include.recovery.errors import PolicyError, SourceUnavailable
from include.recovery.heartbeats import Pulse, keep_beating, pulses


def heartbeat() -> Heartbeat:
    return Heartbeat(beat=1, at=datetime.now(UTC))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_next_beat_is_an_interval_after_the_last_whatever_it_took() -> None:
    clock = Clock()

    def slow() -> Heartbeat:
        clock.now += 4
        return heartbeat()

    assert Pulse("labdojo/main-db", 60, slow, clock=clock).once() == 56
    assert Pulse("labdojo/main-db", 3, slow, clock=clock).once() == 0, "what was missed is not made up"


def test_trouble_is_told_once_and_so_is_its_end() -> None:
    said: list[str] = []
    answers: list[Any] = [SourceUnavailable("no server"), SourceUnavailable("still none"), None, None]

    def write() -> Heartbeat:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return heartbeat()

    pulse = Pulse("labdojo/main-db", 60, write, said.append)
    while answers:
        pulse.once()
    assert said == ["labdojo/main-db has no heartbeat: no server", "labdojo/main-db has its heartbeat again"]


def test_what_is_no_trouble_of_the_databases_is_not_swallowed() -> None:
    def write() -> Heartbeat:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Pulse("labdojo/main-db", 60, write).once()


def test_a_server_that_hangs_delays_no_other() -> None:
    stop, hang, beats = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hangs() -> Heartbeat:
        hang.wait(10)
        return heartbeat()

    def works() -> Heartbeat:
        beats.release()
        return heartbeat()

    runs = threading.Thread(
        target=keep_beating, args=([Pulse("a/db", 0.01, hangs), Pulse("b/db", 0.01, works)], stop), daemon=True
    )
    runs.start()
    assert all(beats.acquire(timeout=5) for _ in range(3))
    stop.set()
    hang.set()
    runs.join(5)
    assert not runs.is_alive()


def test_the_policy_says_who_beats_and_how_often(folder_workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(heartbeats, "beat", lambda server: written.append(server) or heartbeat())
    found = folder_workspace.connections("signing")
    folder_workspace.connections = lambda name: found
    (pulse,) = pulses(folder_workspace)
    assert (pulse.name, pulse.every) == ("labdojo/main-db", 60)
    pulse.once()
    assert [server.database for server in written] == ["labdojo"]
    with pytest.raises(PolicyError, match="nobody"):
        pulses(folder_workspace, ["nobody"])
