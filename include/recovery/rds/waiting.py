"""Waiting for the service: with an end, and so that whoever comes after can go on waiting for the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import TypeVar

from include.recovery.errors import SourceError, SourceUnavailable
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.durations import print_duration
from include.recovery.rds.region import Region
from include.recovery.rds.snapshots import AVAILABLE, Instance, Snapshot

PAUSE = 15.0
"""Seconds between two looks."""
_MISSES = 3
"""What was asked for a moment ago may not be listed yet; so often in a row means that it is gone."""
_GIB = 1024**3
_HOPELESS = ("failed", "incompatible", "inaccessible", "deleting", "restore-error")

Seen = TypeVar("Seen", Snapshot, Instance)


@dataclass(frozen=True)
class Waiting:
    """How to wait.

    :param patience: after so long it counts as stuck.
    :param stop: ends the waiting when set.
    :param check: called at each look; raises when this run may not go on, as when its lease is lost.
    :param pause: seconds between two looks.
    """

    patience: timedelta
    stop: threading.Event
    progress: Progress = NO_PROGRESS
    check: Callable[[], object] = field(default=lambda: None)
    pause: float = PAUSE

    def for_snapshot(self, region: Region, identifier: str) -> Snapshot:
        """A snapshot, once it is available.

        :raises SourceError: when it failed or is gone.
        :raises SourceUnavailable: when it is stuck; asked again, this goes on waiting.
        """
        told = 0

        def look() -> Snapshot | None:
            nonlocal told
            found = region.snapshot(identifier)
            if found is not None:
                share = 100 if found.status == AVAILABLE else min(found.percent, 100)
                done = found.allocated_gib * _GIB * share // 100
                self.progress.add(f"{identifier} in {region.name}", 0, max(done - told, 0))
                told = max(done, told)
            return found

        return self._until(
            look, f"RDS snapshot {identifier} in {region.name}", "nothing was entered in the catalog",
            "the next try removes it and makes another",
        )  # fmt: skip

    def for_instance(self, region: Region, identifier: str) -> Instance:
        """An instance, once it is available; as ``for_snapshot``."""
        what = f"RDS instance {identifier} in {region.name}"
        return self._until(lambda: region.instance(identifier), what, "nothing is proven", "take it away and try again")

    def _until(self, look: Callable[[], Seen | None], what: str, so: str, advice: str) -> Seen:
        began, misses, status = monotonic(), 0, "not listed"
        while True:
            self.check()
            found = look()
            if found is None:
                misses += 1
                if misses >= _MISSES:
                    raise SourceError(
                        f"{what} is gone, {so}; see in the service's events who removed it, and run again"
                    )
            else:
                misses, status = 0, found.status
                if status == AVAILABLE:
                    return found
                if status.startswith(_HOPELESS):
                    raise SourceError(f"{what} is {status}, {so}; the service's events say why, {advice}")
            if monotonic() - began > self.patience.total_seconds():
                raise SourceUnavailable(
                    f"{what} is still {status} after {print_duration(self.patience)}, {so}; look at it in the console: "
                    "a retry of this run goes on waiting for it"
                )
            if self.stop.wait(self.pause):
                raise SourceUnavailable(
                    f"{what} is {status}, and this run was told to stop, {so}; a retry of it goes on waiting"
                )
