"""From where the write-ahead log must stay, and which backups the point-in-time window stands on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from include.recovery.policy.durations import print_duration
from include.recovery.retention.chains import Chains
from include.recovery.retention.model import ContinuousWal, Row, WalPlan, position


def bases(usable: Sequence[Row], window: timedelta | None, now: datetime) -> dict[str, str]:
    """The backups that the window needs, by key, with the reason.

    The base is the newest that was complete before the window begins: from it, the log leads to every moment of the
    window. Where none is that old, it is the oldest there is. The one after it is the next base: were it removed,
    the window would stand on the old base for ever, and the log would grow without end.

    :param usable: physical backups that can be restored.
    """
    ordered = _ordered(usable)
    if window is None or not ordered:
        return {}
    base = _base(ordered, window, now)
    words = print_duration(window)
    found = {base.key: f"the point-in-time window of {words} stands on it"}
    after = [row for row in ordered if row.finished_at > max(base.finished_at, now - window) and row is not base]
    if after:
        found.setdefault(after[0].key, f"next base of the point-in-time window of {words}")
    return found


def wal_plan(kept: Sequence[Row], chains: Chains, window: timedelta | None, now: datetime) -> WalPlan:
    """Which segments must stay.

    :param kept: every physical backup that stays, also those that cannot be used.
    """
    spans = tuple(row.wal for row in kept if row.wal is not None)
    if window is None:
        return WalPlan(everything=True, spans=spans, why="no point-in-time window is in the policy: all of it stays")
    ordered = _ordered([row for row in kept if chains.unusable(row) is None])
    if not ordered:
        return WalPlan(everything=True, spans=spans, why="no usable physical backup: all of it stays")
    base = _base(ordered, window, now)
    continuous = []
    for system in dict.fromkeys(span.system for span in spans):
        # A cluster that was initialised or upgraded anew within the window has a log of its own.
        of_it = [row for row in kept if row.wal is not None and row.wal.system == system]
        needed = [row for row in of_it if row.finished_at > base.finished_at]
        if base.wal is not None and base.wal.system == system:
            needed = [base]
        if needed:
            first = min(needed, key=lambda row: position(row.wal.start) if row.wal else "")
            if first.wal is not None:
                full = chains.root(first).key
                continuous.append(ContinuousWal(system, first.wal.start, first.key, full, first.finished_at))
    return WalPlan(
        everything=False,
        continuous=tuple(continuous),
        spans=spans,
        why=f"all of it from the start of backup {base.id} on, base of the window of {print_duration(window)}; "
        "of older kept backups what makes them consistent",
    )


def fulls_with_log(fulls: Sequence[str], oldest: str) -> int | None:
    """How many full backups, counted from the newest, must keep the whole log since their start.

    That is how pgBackRest is told from where the log stays (``retention-archive``).

    :param fulls: labels of all full backups that the repository has, also those that no catalog knows.
    :param oldest: label of the one that the window's base stands on.
    :return: None when the repository does not have it: then no log may be removed.
    """
    return sum(label >= oldest for label in fulls) if oldest in fulls else None


def _base(ordered: Sequence[Row], window: timedelta, now: datetime) -> Row:
    before = [row for row in ordered if row.finished_at <= now - window]
    return before[-1] if before else ordered[0]


def _ordered(usable: Sequence[Row]) -> list[Row]:
    return sorted((row for row in usable if row.wal is not None), key=lambda row: (row.finished_at, row.key))
