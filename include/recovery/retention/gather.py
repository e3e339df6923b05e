"""From catalog and policy to what the planner is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.in_use import Reader, readers
from include.recovery.catalog.model import Backup
from include.recovery.policy.models import ProtectedSystem
from include.recovery.retention.model import Clock, Decision, RetentionPlan, Row, WalPlan, WalSpan, by_time
from include.recovery.retention.planner import plan
from include.recovery.retention.records import last_run

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


@dataclass(frozen=True)
class SourcePlan:
    """The plan for one source in one store, with the backups that it is about.

    :param backups: by the key of their row.
    """

    system: str
    source: str
    store: str
    plan: RetentionPlan
    backups: Mapping[str, Backup]


def stores_of(system: ProtectedSystem) -> tuple[str, ...]:
    """Every store that a tier of the system names, the one that is written to first."""
    return tuple(dict.fromkeys(store for tier in system.tiers for store in tier.stores))


def sources_of(system: ProtectedSystem, catalog: Catalog) -> tuple[str, ...]:
    """The policy's sources, and those that only the catalog knows any more."""
    stored = (backup.manifest.source for backup in catalog.backups(system.system))
    return tuple(dict.fromkeys([*(source.name for source in system.sources), *stored]))


def look(workspace: Workspace, system: ProtectedSystem, source: str, store: str, now: datetime) -> SourcePlan:
    """The plan as it is now, to be shown; nothing is written, so the store's own clock is not asked."""
    clock = Clock(now, last_run=last_run(workspace.store(store), system.system, source))
    return decide(workspace, system, source, store, clock)


def decide(workspace: Workspace, system: ProtectedSystem, source: str, store: str, clock: Clock) -> SourcePlan:
    """Make the plan for one source in one store. Changes nothing."""
    catalog = workspace.catalog(store)
    backups = catalog.backups(system.system, source)
    reading = {
        kind: readers(catalog.store, system.system, source, kind, clock.now)
        for kind in {backup.manifest.kind for backup in backups}
    }
    rows = {row.key: (row, backup) for row, backup in ((row_of(backup, store, reading), backup) for backup in backups)}
    ordered = [row for row, _ in rows.values()]
    known = next((each for each in system.sources if each.name == source), None)
    if known is None:
        made = _kept_as_unknown(ordered, source, clock)
    else:
        keeps = {tier.name: tier.keep for tier in system.tiers_of(known)}
        window = known.wal.keep if known.wal else None
        made = plan(ordered, keeps, zone=system.time_zone, clock=clock, window=window)
    return SourcePlan(system.system, source, store, made, {key: backup for key, (_, backup) in rows.items()})


def row_of(backup: Backup, store: str, reading: Mapping[str, Mapping[str, Reader]]) -> Row:
    """What the planner has to know about one backup."""
    facts = backup.manifest
    reader = reading.get(facts.kind, {}).get(facts.id)
    physical = getattr(facts, "physical", None)
    span = physical and WalSpan(physical.wal_start, physical.wal_stop, str(physical.system_identifier))
    return Row(
        id=facts.id,
        kind=facts.kind,
        tier=facts.tier,
        taken_at=facts.snapshot_at,
        finished_at=facts.finished_at,
        parent=facts.parent,
        level=backup.level_in(store),
        best=backup.level,
        hold=facts.hold,
        damaged=backup.damaged,
        in_use=f"{reader.by} until {reader.until:%Y-%m-%d %H:%M %Z}" if reader else None,
        wal=span,
    )


def _kept_as_unknown(rows: list[Row], source: str, clock: Clock) -> RetentionPlan:
    why = f"the policy has no source {source} any more"
    return RetentionPlan(
        decisions=tuple(Decision(row, keep=True, reasons=(why,)) for row in by_time(rows)),
        wal=WalPlan(everything=True, why=f"{why}: all of it stays"),
        as_of=clock.now,
        notes=(f"{why}; its backups stay until it has again, or somebody removes them",) if rows else (),
    )
