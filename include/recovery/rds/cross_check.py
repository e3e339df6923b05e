"""Service and catalog side by side: snapshots that no catalog knows, entries whose snapshot is gone, forgotten
scratch instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.recovery.catalog.model import Backup
from include.recovery.rds.names import begun_at, is_ours
from include.recovery.rds.records import managed
from include.recovery.rds.scratch import is_scratch
from include.recovery.rds.snapshots import Instance, Snapshot


@dataclass(frozen=True)
class CrossCheck:
    """What one region has, against the catalog of its store.

    :param unknown: snapshots with Lifeboat's tags that the catalog does not list.
    :param gone: entries whose snapshot is not there.
    :param scratch: scratch instances that are running.
    """

    region: str
    store: str
    unknown: tuple[Snapshot, ...] = ()
    gone: tuple[Backup, ...] = ()
    scratch: tuple[Instance, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each for people."""
        return (
            *(
                f"{found.where} ({found.status}) carries Lifeboat's tags and the catalog of store {self.store} does "
                "not list it, so retention never removes it; let it be taken in, or remove it"
                for found in self.unknown
            ),
            *(
                f"backup {row.manifest.name} has no snapshot in {self.region} any more; pick another recovery point, "
                "and find out who removed it"
                for row in self.gone
            ),
            *(
                f"{found.where} is a scratch instance, which costs as long as it runs; remove it unless a drill is "
                "running"
                for found in self.scratch
            ),
        )


def cross_check(
    name: tuple[str, str],
    region: str,
    store: str,
    snapshots: Sequence[Snapshot],
    instances: Sequence[Instance],
    listed: Iterable[Backup],
    *,
    settled: datetime,
) -> CrossCheck:
    """Compare. Pure.

    :param name: of system and source.
    :param snapshots: all of the region, with ``instances``.
    :param listed: the entries of the source in the catalog of the region's store.
    :param settled: what was begun later may be in the making.
    """
    system, source = name
    there = {found.identifier for found in snapshots}
    known: set[str] = set()
    gone = []
    for row in listed:
        copy = managed(row.manifest).copy_in(store)
        if copy is None or copy.region != region:
            continue
        known.add(copy.identifier)
        if copy.identifier not in there:
            gone.append(row)
    return CrossCheck(
        region, store,
        unknown=tuple(
            found for found in sorted(snapshots, key=lambda each: each.identifier)
            if is_ours(found.tags, system, source) and found.identifier not in known
            and (begun_at(found.tags) or settled) <= settled
        ),
        gone=tuple(gone),
        scratch=tuple(
            found for found in instances if is_scratch(found) and is_ours(found.tags, system, source)
        ),
    )
