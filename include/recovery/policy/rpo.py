"""How much a source can lose at worst, from its schedules and its WAL archive, with the arithmetic in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import ProtectedSystem, Source


@dataclass(frozen=True)
class WorstLoss:
    """The widest distance between two recovery points of a source, over its fastest path.

    :param between: None when nothing makes recovery points often enough to say.
    :param until_done: ``between`` and the time that the newer point may take to become recoverable: the age at which
        the newest recoverable point is late.
    :param arithmetic: how both came about.
    """

    between: timedelta | None
    until_done: timedelta | None
    arithmetic: str

    def meets(self, rpo: timedelta) -> bool:
        """Whether recovery points follow each other closely enough."""
        return self.between is not None and self.between <= rpo


def worst_loss(system: ProtectedSystem, source: Source) -> WorstLoss:
    """The worst loss of a source over all its tiers and its WAL together.

    Distances are counted from snapshot to snapshot on the wall clock of the system's time zone, as the objectives are
    written: "daily" is 24 hours also when the clocks change. How long the newer backup still runs is its tier's grace.

    :param system: a valid policy, apart from what this function judges.
    """
    by_tiers = _loss_by_tiers(system, source)
    if source.wal is None:
        return by_tiers
    timeout, allowance = source.wal.archive_timeout, source.wal.push_allowance
    loss = timeout + allowance
    if by_tiers.between is not None and by_tiers.between <= loss:
        return by_tiers
    arithmetic = (
        f"WAL closes a segment every {print_duration(timeout)} and has {print_duration(allowance)} to store it, "
        f"{print_duration(loss)} together; {by_tiers.arithmetic}"
    )
    return WorstLoss(loss, loss, arithmetic)


def _loss_by_tiers(system: ProtectedSystem, source: Source) -> WorstLoss:
    tiers = system.tiers_of(source)
    if not tiers:
        return WorstLoss(None, None, "no tier backs it up")
    names = " and ".join(f"{tier.name} ({tier.cron})" for tier in tiers)
    gap = widest_gap([tier.cron for tier in tiers])
    if gap is None:
        return WorstLoss(None, None, f"{names} run less than twice in eight years")
    until_done = gap + max(tier.grace for tier in tiers)
    leave = "leaves" if len(tiers) == 1 else "leave"
    arithmetic = f"{names} {leave} up to {print_duration(gap)} between two backups in {system.time_zone}"
    return WorstLoss(gap, until_done, arithmetic)
