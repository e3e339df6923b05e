"""All rules of retention together: a decision with its reason for each backup of one source in one store.

Kept, whatever a tier's lines say: what is held or being read; the newest good backup of each kind; the newest that is
restored, identical and validated (as this copy stands, and as any copy stands); what the point-in-time window stands
on; what belongs to a tier that the policy no longer has; and everything that one of these needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.words import moment
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import Keep
from include.recovery.retention import clock as clocks
from include.recovery.retention.chains import Chains
from include.recovery.retention.lines import wanted, wanted_by_hand
from include.recovery.retention.model import Clock, Decision, RetentionPlan, Row, by_time
from include.recovery.retention.wal import bases, wal_plan

_PROVEN = (ProofLevel.VALIDATED, ProofLevel.IDENTICAL, ProofLevel.RESTORED)

Reasons = dict[str, list[str]]


def plan(
    rows: Sequence[Row], keeps: Mapping[str, Keep], *, zone: str, clock: Clock, window: timedelta | None = None
) -> RetentionPlan:
    """Decide about every backup of one source in one store.

    :param rows: all of them, in any order.
    :param keeps: the rules of the tiers that back the source up, by the tier's name.
    :param zone: the system's time zone.
    :param window: how far back any moment must be restorable from the write-ahead log; None: the source has no archive.
    :raises ValueError: when two rows are the same backup, or a moment has no time zone.
    """
    if len({row.key for row in rows}) != len(rows):
        raise ValueError("two rows of the retention plan are the same backup; each may be there once")
    clocks.check_zones(clock, rows)
    ordered = by_time(rows)
    chains = Chains(ordered)
    usable = [row for row in ordered if chains.unusable(row) is None]
    now = clocks.as_of(clock.now, usable)
    reasons: Reasons = {row.key: [] for row in ordered}
    refused = clocks.refusal(clock, ordered, zone)
    if refused is not None:
        for row in ordered:
            reasons[row.key].append("nothing is removed by a clock that cannot be believed")
    _by_people(reasons, ordered)
    _best(reasons, usable)
    for key, why in bases(usable, window, now).items():
        reasons[key].append(why)
    _by_tiers(reasons, usable, usable, keeps, ZoneInfo(zone), now)
    # Damaged backups take no place from good ones, and stay as long as they would if they were good.
    _by_tiers(reasons, ordered, [row for row in ordered if chains.unusable(row)], keeps, ZoneInfo(zone), now)
    needed_by = chains.needed_by(row for row in ordered if reasons[row.key])
    for row in ordered:
        dependants = needed_by.get(row.key, ())
        if dependants:
            more = f" and {len(dependants) - 1} more need it" if len(dependants) > 1 else " needs it"
            reasons[row.key].append(dependants[0].id + more)
    decisions = tuple(_decision(row, reasons[row.key], keeps, chains) for row in ordered)
    kept = [decision.row for decision in decisions if decision.keep and decision.row.wal is not None]
    return RetentionPlan(
        decisions=decisions,
        wal=wal_plan(kept, chains, window, now),
        as_of=now,
        refusal=refused,
        notes=tuple(_notes(ordered, keeps, clock.now, now, zone)),
    )


def _by_people(reasons: Reasons, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.in_use is not None:
            reasons[row.key].append(f"being read by {row.in_use}")
        if row.hold:
            reasons[row.key].append("held until somebody lifts the hold")


def _best(reasons: Reasons, usable: Sequence[Row]) -> None:
    """The newest good backup of each kind, and the newest of each proof level."""
    for kind in dict.fromkeys(row.kind for row in usable):
        of_kind = [row for row in usable if row.kind == kind]
        reasons[of_kind[0].key].append(f"the newest good backup of kind {kind}")
        for level in _PROVEN:
            here = next((row for row in of_kind if row.level.rank >= level.rank), None)
            anywhere = next((row for row in of_kind if row.best.rank >= level.rank), None)
            if here is not None:
                reasons[here.key].append(f"the newest that is proven {level}")
            if anywhere is not None and anywhere is not here:
                reasons[anywhere.key].append(f"the newest that is proven {level} in any store")


def _by_tiers(
    reasons: Reasons,
    rows: Sequence[Row],
    meant: Sequence[Row],
    keeps: Mapping[str, Keep],
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Add what the tiers' lines, counted over some rows, want of those that are meant."""
    if not meant:
        return
    mine = {row.key for row in meant}
    of_tier: dict[str | None, list[Row]] = {}
    for row in rows:
        of_tier.setdefault(row.tier, []).append(row)
    for tier, members in of_tier.items():
        if tier is None:
            found = wanted_by_hand(members, now)
        elif tier in keeps:
            found = wanted(members, keeps[tier], tier=tier, zone=zone, now=now)
        else:
            found = {row.key: [f"the policy has no tier {tier} for this source any more"] for row in members}
        for key, why in found.items():
            if key in mine:
                reasons[key] += why


def _decision(row: Row, reasons: Sequence[str], keeps: Mapping[str, Keep], chains: Chains) -> Decision:
    if reasons:
        return Decision(row, keep=True, reasons=tuple(dict.fromkeys(reasons)))
    broken = chains.unusable(row)
    also = (f"cannot be used: {broken}",) if broken is not None else ()
    if row.tier is None:
        return Decision(row, keep=False, reasons=("taken by hand more than 30 days ago, without a hold", *also))
    return Decision(row, keep=False, reasons=(f"no line of {row.tier} wants it ({in_words(keeps[row.tier])})", *also))


def in_words(keep: Keep) -> str:
    """A tier's rule: ``newest 1, 14 days, 13 weeks``."""
    lines = [f"newest {keep.newest}"]
    if keep.every:
        lines.append(f"younger than {print_duration(keep.every)}")
    lines += [
        f"{count} {name if count > 1 else name[:-1]}"
        for name, count in (("days", keep.days), ("weeks", keep.weeks), ("months", keep.months), ("years", keep.years))
        if count
    ]
    return ", ".join(lines)


def _notes(
    rows: Sequence[Row], keeps: Mapping[str, Keep], now: datetime, counted_from: datetime, zone: str
) -> list[str]:
    notes = []
    unknown = dict.fromkeys(row.tier for row in rows if row.tier is not None and row.tier not in keeps)
    for tier in unknown:
        count = sum(row.tier == tier for row in rows)
        notes.append(
            f"{count} backup{'s' if count > 1 else ''} of tier {tier}, which the policy does not have any more, "
            "stay until it does again or somebody removes them"
        )
    if counted_from < now:
        notes.append(
            f"no good backup has come for more than {clocks.PATIENCE.days} days: ages count as of "
            f"{moment(counted_from, zone)} until there is a new one"
        )
    return notes
