"""Which backups lack a copy in a store that the policy names for them, and how to make one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.model import Backup, Proof
from include.recovery.catalog.removed import was_removed
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.models import ProtectedSystem
from include.recovery.replication import await_replication, replicate
from include.recovery.sources import verbs

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

NATIVE_PATIENCE = timedelta(hours=2)
"""How long the stores' own replication may take."""


@dataclass(frozen=True)
class MissingCopy:
    """A backup that one store has and another should have."""

    source: str
    kind: str
    backup: str
    from_store: str
    to_store: str

    def as_dict(self) -> dict[str, str]:
        """As plain JSON."""
        return asdict(self)


def missing_copies(system: ProtectedSystem, catalog: Callable[[str], Catalog]) -> list[MissingCopy]:
    """Every copy that the policy wants and no catalog has, oldest backup first.

    Damaged backups are not copied: what is wrong here would be wrong there. Nor is what retention has removed from the
    other store, while it is still kept here, such as the last one that was proven here. Physical ones neither:
    pgBackRest takes a backup of its own into each repository.

    :param catalog: opens a store's catalog by its name.
    """
    missing = []
    there: dict[str, set[str]] = {}
    for source in system.sources:
        first = next((tier.stores[0] for tier in system.logical_tiers if source.name in tier.sources), None)
        if first is None:
            continue
        for backup in catalog(first).backups(system=system.system, source=source.name):
            if backup.damaged or backup.manifest.kind != source.kind:
                continue
            for store in stores_of(system, backup)[1:]:
                if store not in there:
                    there[store] = {row.manifest.prefix for row in catalog(store).backups(system=system.system)}
                facts = backup.manifest
                if facts.prefix not in there[store] and not was_removed(catalog(store).store, facts):
                    missing.append(MissingCopy(facts.source, facts.kind, facts.id, first, store))
    return missing


def stores_of(system: ProtectedSystem, backup: Backup) -> tuple[str, ...]:
    """The stores that should hold a logical backup, the one that it is written to first.

    A backup of a tier that the policy does not have (any more) belongs wherever any logical tier of its source does.
    """
    tiers = [tier for tier in system.logical_tiers if backup.manifest.source in tier.sources]
    own = [tier for tier in tiers if tier.name == backup.manifest.tier]
    return tuple(dict.fromkeys(store for tier in own or tiers for store in tier.stores))


def make_copy(
    workspace: Workspace,
    system: str,
    copy: MissingCopy,
    *,
    by: str,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> Proof:
    """Bring a backup to the other store as the policy says, and prove that it is there.

    :param by: the run, for the proof.
    :raises BackupCorrupt: when what is there is not what was written.
    """
    manifest = workspace.catalog(copy.from_store).backup(system, copy.source, copy.kind, copy.backup).manifest
    here, there = workspace.store(copy.from_store), workspace.store(copy.to_store)
    # A managed snapshot was copied by its service; with the entry goes the proof that the copy is there.
    elsewhere = partial(verbs(manifest.kind).look, workspace, manifest, copy.to_store) if manifest.managed else None
    with in_use(here, manifest, by):
        if workspace.policies.platform.stores[copy.to_store].replication == "native":
            return await_replication(
                manifest, here, there, by=by, timeout=NATIVE_PATIENCE, progress=progress, elsewhere=elsewhere
            )
        return replicate(manifest, here, there, by=by, progress=progress, stop=stop, elsewhere=elsewhere)
