"""How much a source can lose at worst, from its schedules and its WAL archive, with the arithmetic in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import ProtectedSystem, Source, Tier


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
    What cannot be restored does not count: WAL, differentials and incrementals without full backups below them.

    :param system: a valid policy, apart from what this function judges.
    """
    based, tiers = has_base(system, source), system.tiers_of(source)
    by_tiers = _loss_by_tiers([tier for tier in tiers if based or not tier.is_physical], system.time_zone)
    if tiers and not based and all(tier.is_physical for tier in tiers):
        by_tiers = WorstLoss(None, None, "none of its tiers can be restored")
    if source.wal is None:
        return by_tiers
    if not based:
        why = "WAL does not count, since no full physical backup is there to roll forward"
        return WorstLoss(by_tiers.between, by_tiers.until_done, f"{why}; {by_tiers.arithmetic}")
    timeout, allowance = source.wal.archive_timeout, source.wal.push_allowance
    loss = timeout + allowance
    if by_tiers.between is not None and by_tiers.between <= loss:
        return by_tiers
    arithmetic = (
        f"WAL closes a segment every {print_duration(timeout)} and has {print_duration(allowance)} to store it, "
        f"{print_duration(loss)} together; {by_tiers.arithmetic}"
    )
    return WorstLoss(loss, loss, arithmetic)


def has_base(system: ProtectedSystem, source: Source) -> bool:
    """Whether a source has full physical backups, again and again: what its WAL and its increments build on."""
    fulls = [tier.cron for tier in system.tiers_of(source) if tier.method == "full"]
    return source.physical is not None and bool(fulls) and widest_gap(fulls) is not None


def _loss_by_tiers(tiers: Sequence[Tier], time_zone: str) -> WorstLoss:
    if not tiers:
        return WorstLoss(None, None, "no tier backs it up")
    names = " and ".join(f"{tier.name} ({tier.cron})" for tier in tiers)
    gap = widest_gap([tier.cron for tier in tiers])
    if gap is None:
        return WorstLoss(None, None, f"{names} run less than twice in eight years")
    until_done = gap + max(tier.grace for tier in tiers)
    leave = "leaves" if len(tiers) == 1 else "leave"
    arithmetic = f"{names} {leave} up to {print_duration(gap)} between two backups in {time_zone}"
    return WorstLoss(gap, until_done, arithmetic)
