"""Is a restored copy what its recovery point says? As far as the point covers the database, and no further."""

from __future__ import annotations

import threading

from include.recovery.catalog.points import LARGE_OBJECTS, Heartbeat, RecoveryPoint
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.definitions import mapping_digest
from include.recovery.fingerprint.measure import measure_like
from include.recovery.fingerprint.model import Comparison, DatabaseFingerprint, Difference, NotCompared
from include.recovery.postgres.functions import HEARTBEAT_TABLE
from include.recovery.postgres.heartbeat import read_heartbeat
from include.recovery.postgres.server import PostgresServer

_GRANTS = "grants on "
_GRANTS_ON_LARGE_OBJECTS = f"{_GRANTS}{LARGE_OBJECTS}"


def compare_with_point(
    point: RecoveryPoint, copy: PostgresServer, *, workers: int = 2, stop: threading.Event | None = None
) -> Comparison:
    """Compare a database that was recovered to a point with what the point recorded.

    :param copy: the recovered database, which nobody writes to.
    :return: never ``identical`` for a heartbeat point; what a verifiable one does not cover is in ``not_compared``.
    :raises SourceError: as ``measure``.
    """
    if point.fingerprint is None:
        return compared_by_heartbeat(point, read_heartbeat(copy))
    actual = measure_like(point.fingerprint, copy.connect, workers=workers, unlogged=False, stop=stop)
    return compared_by_fingerprint(point, actual)


def compared_by_fingerprint(point: RecoveryPoint, actual: DatabaseFingerprint) -> Comparison:
    """Compare a verifiable point with the fingerprint of a copy (``measure_like`` without unlogged tables).

    :raises ValueError: when the point has no fingerprint.
    """
    if point.fingerprint is None:
        raise ValueError(f"recovery point {point.name} has no fingerprint; compare it by its heartbeat")
    expected = point.fingerprint
    if any(entry.object == LARGE_OBJECTS for entry in point.not_compared):
        expected, actual = _without_large_objects(expected), _without_large_objects(actual)
    found = compare(expected, actual, sequences="at least")
    return found.model_copy(update={"not_compared": _together(found.not_compared, point.not_compared)})


def compared_by_heartbeat(point: RecoveryPoint, newest: Heartbeat | None) -> Comparison:
    """Whether a copy reaches as far as a point's heartbeat; that is all that such a point can tell.

    :param newest: the copy's; None when it holds none.
    """
    expected = point.heartbeat
    differences: tuple[Difference, ...] = ()
    if expected is not None and (newest is None or newest.beat < expected.beat):
        has = "has no heartbeat" if newest is None else f"ends at heartbeat {newest.beat} of {newest.at.isoformat()}"
        differences = (Difference(
            object=HEARTBEAT_TABLE, kind="rows",
            message=f"the copy {has}; recovery point {point.name} was made after heartbeat {expected.beat} of "
            f"{expected.at.isoformat()}",
        ),)  # fmt: skip
    return Comparison(
        identical=False,
        compared_tables=0,
        compared_rows=0,
        differences=differences,
        not_compared=_together((), point.not_compared),
        confidence="only the heartbeat was compared, which tells how far the copy reaches and nothing about its rows",
    )


def _without_large_objects(fingerprint: DatabaseFingerprint) -> DatabaseFingerprint:
    """The same with nothing that a large object made after the point would change."""
    items = {name: digest for name, digest in fingerprint.items.items() if name != _GRANTS_ON_LARGE_OBJECTS}
    grants = {name: digest for name, digest in items.items() if name.startswith(_GRANTS)}
    return fingerprint.model_copy(update={
        "large_objects": None,
        "items": items,
        "grants": None if fingerprint.grants is None else mapping_digest(grants),
    })  # fmt: skip


def _together(one: tuple[NotCompared, ...], two: tuple[NotCompared, ...]) -> tuple[NotCompared, ...]:
    entries = {entry.object: entry for entry in (*one, *two)}
    return tuple(entries[name] for name in sorted(entries))
