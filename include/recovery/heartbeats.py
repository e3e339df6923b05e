"""Heartbeats of all protected databases, each as often as its policy says, in one small process: ``lifeboat beat``.

A beat is one short statement a minute. As a task of Airflow it would cost hundreds of times its own work, for each
system 1,440 times a day, could be no more frequent than a minute, and would stop with the scheduler, which is when the
beats are wanted. So one process of its own writes them all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from include.recovery.errors import LifeboatError
from include.recovery.postgres.heartbeat import beat

if TYPE_CHECKING:
    from include.recovery.catalog.points import Heartbeat
    from include.recovery.workspace import Workspace

_log = logging.getLogger(__name__)


@dataclass
class Pulse:
    """One source's heartbeat. It says once when it begins to fail, and once when it is back.

    :param name: ``<system>/<source>``.
    :param every: seconds between two beats.
    :param write: writes one.
    :param clock: monotonic seconds.
    """

    name: str
    every: float
    write: Callable[[], Heartbeat]
    say: Callable[[str], object] = field(default=_log.warning)
    clock: Callable[[], float] = time.monotonic
    failing: LifeboatError | None = None

    def once(self) -> float:
        """Write one beat, or say why not; the seconds until the next one is due.

        What was missed is not made up: a beat says that the database lived at its own moment, and no other.
        """
        begun = self.clock()
        try:
            self.write()
        except LifeboatError as error:
            if self.failing is None:
                self.say(f"{self.name} has no heartbeat: {error}")
            self.failing = error
        else:
            if self.failing is not None:
                self.say(f"{self.name} has its heartbeat again")
            self.failing = None
        return max(self.every - (self.clock() - begun), 0.0)

    def run(self, stop: threading.Event) -> None:
        """Beat until told to stop."""
        while not stop.wait(self.once()):
            pass


def pulses(
    workspace: Workspace, systems: Iterable[str] = (), *, say: Callable[[str], object] = _log.warning
) -> list[Pulse]:
    """A pulse for each physically protected source.

    :param systems: only of these; none means all whose policies are valid.
    :param say: is told when one fails, and when it is back.
    :raises PolicyError: when one of them has no valid policy.
    :raises LifeboatError: when a connection is not defined.
    """
    chosen = [workspace.system(name) for name in systems] or list(workspace.policies.systems.values())
    return [
        Pulse(
            f"{system.system}/{source.name}",
            source.physical.heartbeat.total_seconds(),
            partial(beat, workspace.server(source)),
            say,
        )
        for system in chosen
        for source in system.sources
        if source.physical is not None
    ]


def keep_beating(beating: Sequence[Pulse], stop: threading.Event) -> None:
    """Write all heartbeats until told to stop, each in a thread of its own: a server that hangs delays no other."""
    threads = [threading.Thread(target=pulse.run, args=(stop,), name=pulse.name, daemon=True) for pulse in beating]
    for thread in threads:
        thread.start()
    stop.wait()
