"""What a place that keeps a state has to be able to do, and how long a lock is waited for."""

from __future__ import annotations

import getpass
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from include.recovery.errors import SourceUnavailable
from include.recovery.jobs import Stopped

_PAUSE = 0.5


@dataclass(frozen=True)
class Held:
    """Who holds a lock, as far as it is known."""

    who: str = "somebody"
    operation: str = "something"
    since: str = ""

    @classmethod
    def from_info(cls, data: bytes) -> Held:
        """From Terraform's own note; nobody knows more when it cannot be read."""
        try:
            info = json.loads(data)
            return cls(str(info["Who"]), str(info["Operation"]), str(info["Created"]))
        except (ValueError, KeyError, TypeError):
            return cls()

    def __str__(self) -> str:
        return f"{self.who} for {self.operation}" + (f" since {self.since}" if self.since else "")


class LockedError(Exception):
    """Somebody holds the lock."""

    def __init__(self, held: Held) -> None:
        super().__init__(str(held))
        self.held = held


class Backend(Protocol):
    """A place that keeps one state. ``LockedError`` is for ``waiting`` to catch."""

    @property
    def where(self) -> str:
        """For messages."""

    def check(self) -> str:
        """Whether it can be read, and what is there before can be kept; in a clause.

        :raises SourceError, SourceUnavailable: naming what is in the way.
        """

    def read(self) -> bytes:
        """The state as nobody is changing it.

        :raises LockedError: when somebody may be changing it.
        :raises SourceError: when there is none.
        """

    def locked(self, now: datetime) -> AbstractContextManager[None]:
        """Hold the lock for the block.

        :raises LockedError: when somebody else does.
        """

    def current(self) -> bytes | None:
        """The state while we hold the lock; None when there is none."""

    def keep_aside(self, now: datetime) -> str:
        """Keep the present state, and say where; while we hold the lock."""

    def write(self, data: bytes) -> None:
        """Replace the state, all or nothing; while we hold the lock."""


def waiting(
    attempt: Callable[[], Any], where: str, *, seconds: float, stop: threading.Event, pause: float = _PAUSE
) -> Any:
    """What an attempt returns, tried again while somebody holds the lock.

    :raises SourceUnavailable: when it was held all the time, naming by whom.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except LockedError as locked:
            if time.monotonic() >= end:
                raise SourceUnavailable(
                    f"{where} is locked by {locked.held}, and was for the {seconds:.0f} s that were waited; try again "
                    "when it is free (terraform force-unlock frees what nobody holds any more)"
                ) from None
        if stop.wait(pause):
            raise Stopped


def lock_info(where: str, now: datetime) -> bytes:
    """Terraform's note on a lock, as ours."""
    return json.dumps({
        "ID": str(uuid.uuid4()), "Operation": "lifeboat put back", "Info": "", "Version": "", "Path": where,
        "Who": f"{getpass.getuser()}@{socket.gethostname()}", "Created": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }).encode()  # fmt: skip
