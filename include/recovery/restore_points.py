"""Recovery points of a system's sources: made as the policy says, and recorded beside the backups in each store.

How a point is made is told in ``postgres/recovery_point.py``; what is stored, in ``catalog/points.py``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.errors import LifeboatError, PolicyError, StoreUnavailable
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.recovery_point import PointOptions, make_point

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

_LATE_BEATS = 3
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class KeptPoint:
    """A point that was made now.

    :param stores: where it is recorded.
    :param warnings: why it proves less than the policy wants; each a sentence.
    """

    point: RecoveryPoint
    stores: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """For people, with the milliseconds that writers may have waited."""
        point = self.point
        attempts = "1 attempt" if point.attempts == 1 else f"{point.attempts} attempts"
        waited = f"writers waited {point.waited_ms:.1f} ms at most ({attempts})" if point.attempts else "no locks taken"
        stores = " and ".join(self.stores)
        return f"{point.kind} point {point.name} of {point.source} at {point.lsn}: {waited}; in {stores}"


def pointed_sources(system: ProtectedSystem) -> tuple[PostgresSource, ...]:
    """The sources whose policy wants verifiable points."""
    return tuple(each for each in system.sources if each.physical and each.physical.restore_points)


def point_interval(system: ProtectedSystem) -> timedelta | None:
    """How often the system's points are made: as often as the most demanding source wants; None when none does."""
    wanted = [each.physical.restore_points for each in pointed_sources(system) if each.physical]
    return min((each.every for each in wanted if each), default=None)


def options_of(source: PostgresSource) -> PointOptions:
    """How a source's points are made, by its policy. Without verifiable points, no locks are taken at all."""
    points = source.physical.restore_points if source.physical else None
    return PointOptions(
        lock_timeout_ms=points.lock_timeout // _MILLISECOND if points else 0,
        attempts=points.attempts if points else 0,
        exclude={each.table: each.why for each in source.exclude},
        coverage=source.fingerprint.coverage,
        workers=source.fingerprint.workers,
    )


def keep_point(
    workspace: Workspace, system: ProtectedSystem, source: PostgresSource, *, stop: threading.Event | None = None
) -> KeptPoint:
    """Make a point of a source, and record it in each store whose repository can be restored to it.

    A store that does not answer keeps the others from nothing; the failure names it afterwards.

    :param stop: ends the work when set.
    :raises PolicyError: when the source's log is not archived: nothing could be restored to the point.
    :raises StoreUnavailable: when a store did not get the point, and trying again may help; a new point is made then.
    :raises LifeboatError: as ``make_point``, or as the store said.
    """
    stores = system.repository_stores(source)
    if source.physical is None or not stores:
        raise PolicyError(
            [
                f"{system.system}.yaml: source {source.name!r} has no 'physical' block with a tier, so its log is not "
                "archived, and nothing could be restored to a recovery point; add both"
            ]
        )
    point = make_point(workspace.server(source), system.system, source.name, options_of(source), stop=stop)
    failures: list[tuple[str, LifeboatError]] = []
    for store in stores:
        try:
            RecoveryPoints(workspace.store(store)).record(point)
        except LifeboatError as error:
            failures.append((store, error))
    if failures:
        there = [store for store in stores if store not in dict(failures)]
        told = "; ".join(f"{store} did not get it: {error}" for store, error in failures)
        sentence = f"recovery point {point.name} is recorded in {' and '.join(there) or 'no store'}; {told}"
        if any(isinstance(error, StoreUnavailable) for _, error in failures):
            raise StoreUnavailable(sentence) from failures[0][1]
        raise type(failures[0][1])(sentence) from failures[0][1]
    return KeptPoint(point, stores, _warnings(point, source))


def _warnings(point: RecoveryPoint, source: PostgresSource) -> tuple[str, ...]:
    """Why a point proves less than the policy wants."""
    found = []
    wanted = source.physical.restore_points if source.physical else None
    if wanted is not None and point.kind == "heartbeat":
        found.append(f"{point.name} cannot prove rows: {point.note}")
    every = source.physical.heartbeat if source.physical else timedelta(minutes=1)
    beat = point.heartbeat
    if beat is None:
        found.append(f"{source.name} has no heartbeat, so no restore can tell what it lost; let `lifeboat beat` run")
    elif point.at - beat.at > _LATE_BEATS * every:
        found.append(
            f"the newest heartbeat of {source.name} is {print_duration(point.at - beat.at)} old, and one is due each "
            f"{print_duration(every)}; see whether `lifeboat beat` runs"
        )
    return tuple(found)
