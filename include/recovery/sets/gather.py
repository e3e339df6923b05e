"""What the stores hold of a system, bound into a set, and kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from include.recovery.catalog.looks import newest_look
from include.recovery.policy.models import PRIMARY, PostgresSource
from include.recovery.sets.bind import Candidates, bind
from include.recovery.sets.model import RecoverySet
from include.recovery.sets.records import RecoverySets

if TYPE_CHECKING:
    from include.recovery.policy.models import ProtectedSystem, Source
    from include.recovery.workspace import Workspace

CONTINUOUS = ("objects",)
"""Kinds whose versions lead to any moment."""


def bind_set(
    workspace: Workspace, system: ProtectedSystem, *, before: datetime, now: datetime, by: str, store: str = PRIMARY
) -> RecoverySet:
    """The newest set of a system by then. Nothing is written.

    :raises BackupNotFound: when no source has a usable backup.
    """
    held = workspace.catalog(store).backups(system.system)
    candidates = []
    for source in system.sources:
        own = [row for row in held if (row.manifest.source, row.manifest.kind) == (source.name, source.kind)]
        candidates.append(Candidates(
            source.name, own, anchor=isinstance(source, PostgresSource), continuous=source.kind in CONTINUOUS,
            unchanged=_unchanged(workspace, system, source), rpo=system.rpo(source),
        ))  # fmt: skip
    return bind(system.system, store, candidates, before=before, now=now, by=by)


def keep_set(
    workspace: Workspace, system: ProtectedSystem, *, before: datetime, now: datetime, by: str, store: str = PRIMARY
) -> RecoverySet:
    """Bind the newest set, and keep it beside the backups."""
    made = bind_set(workspace, system, before=before, now=now, by=by, store=store)
    RecoverySets(workspace.store(store), system.system).record(made)
    return made


def _unchanged(workspace: Workspace, system: ProtectedSystem, source: Source) -> dict[str, datetime]:
    seen: dict[str, datetime] = {}
    for tier in system.tiers_of(source):
        look = newest_look(workspace.store(PRIMARY), system.system, source.name, tier.name) if (
            tier.only_when_changed
        ) else None
        if look is not None:
            seen[look.backup] = max(look.at, seen.get(look.backup, look.at))
    return seen
