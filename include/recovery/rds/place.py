"""From a policy to the regions of a source, and to the one that a store's catalog is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.recovery.catalog.model import Facts, ManagedCopy
from include.recovery.errors import BackupNotFound, PolicyError
from include.recovery.policy.models import ProtectedSystem, Source
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.rds.records import managed
from include.recovery.rds.region import Region

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


@dataclass(frozen=True)
class RdsPlace:
    """A source with its two regions."""

    system: ProtectedSystem
    source: RdsSource
    home: Region
    second: Region

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system.system}/{self.source.name}"

    def region(self, name: str) -> Region:
        """A region by its name.

        :raises PolicyError: when the policy names no connection for it any more.
        """
        for region in (self.home, self.second):
            if region.name == name:
                return region
        raise PolicyError([
            f"{self.name}: the policy names {self.home.name} and {self.second.name}, and a snapshot is in {name}; add "
            "a source with that region, or look after its snapshots yourself"
        ])


def place_of(workspace: Workspace, system: ProtectedSystem, source: Source) -> RdsPlace:
    """A source of a policy, reachable.

    :raises PolicyError: when it is none of RDS.
    """
    if not isinstance(source, RdsSource):
        raise PolicyError([f"{system.system}: source {source.name!r} is of kind {source.kind}, and not of rds"])
    regions = (Region(each, workspace.connections(each.connection)) for each in (source.home, source.second))
    return RdsPlace(system, source, *regions)


def place_of_backup(workspace: Workspace, facts: Facts) -> RdsPlace:
    """The source that a backup is of."""
    system = workspace.system(facts.system)
    return place_of(workspace, system, system.source(facts.source))


def copy_in(facts: Facts, store: str) -> ManagedCopy:
    """The snapshot that a store's catalog means.

    :raises BackupNotFound: when the backup has none for that store.
    """
    copy = managed(facts).copy_in(store)
    if copy is None:
        known = ", ".join(each.store for each in managed(facts).copies)
        raise BackupNotFound(f"backup {facts.name} has no snapshot for store {store}; it has one for {known}")
    return copy
