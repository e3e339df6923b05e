"""Snapshots of runs that died before their entry, entered after all, so that retention knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from include.recovery.catalog.in_progress import BackupInProgress
from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest, Proof, ProofLevel
from include.recovery.errors import Refused, SourceError
from include.recovery.policy.models import PRIMARY
from include.recovery.rds.cross_check import CrossCheck, cross_check
from include.recovery.rds.names import RUN, begun_at, tier_of
from include.recovery.rds.place import RdsPlace, copy_in
from include.recovery.rds.records import KIND, entries, entry_of, fields_of
from include.recovery.rds.region import Region
from include.recovery.rds.take import Pair, found
from include.recovery.sources.run_info import RunInfo

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class TakenIn:
    """What became of the snapshots that no catalog knew.

    :param left: those that cannot be entered, with the reason, a sentence each.
    """

    entered: tuple[Manifest, ...]
    left: tuple[str, ...]


def enter(
    in_progress: BackupInProgress, place: RdsPlace, pair: Pair, *, started_by: str, started_at: datetime, hold: bool,
    note: str | None,
) -> Manifest:  # fmt: skip
    """Make the catalog entry of a snapshot that is there in both regions."""
    return in_progress.commit(
        started_by=started_by, started_at=started_at, note=note, hold=hold, **fields_of(place.source, pair)
    )


def look(workspace: Workspace, place: RdsPlace, store: str, now: datetime) -> CrossCheck:
    """One region against the catalog of its store."""
    system, source = place.system.system, place.source
    region: Region = place.second if store == source.second.store else place.home
    catalog = workspace.catalog(store)
    snapshots, instances = list(region.snapshots()), list(region.instances())
    seen = cross_check(
        (system, source.name), region.name, store, snapshots, instances, entries(catalog, system, source.name),
        settled=now - 2 * source.patience - _MARGIN,
    )  # fmt: skip
    # Between the two listings something may have been made or removed, so what does not fit is looked at again. One
    # that retention is just removing is in no list any more, and may still be there.
    removing = any(not mark.whole for mark in catalog.going(source_prefix(system, source.name, KIND)).values())
    return replace(
        seen,
        unknown=() if removing else tuple(each for each in seen.unknown if region.snapshot(each.identifier)),
        gone=tuple(row for row in seen.gone if region.snapshot(copy_in(row.manifest, store).identifier) is None),
    )


def take_in(workspace: Workspace, place: RdsPlace, run: RunInfo, now: Callable[[], datetime]) -> TakenIn:
    """Enter every snapshot of the first region that no run can be working on any more and that is there in both.

    :raises LeaseHeld: when a backup of its tier is running.
    """
    system, source, catalog = place.system.system, place.source, workspace.catalog(PRIMARY)
    entered, left = [], []
    for snapshot in look(workspace, place, PRIMARY, now()).unknown:
        owner = Owner.of_this_process(run.run_id, run.try_number, run.url)
        try:
            pair = found(system, source, snapshot.identifier, place.home, place.second)
            with catalog.begin(
                system, source.name, KIND, tier=tier_of(snapshot.tags), owner=owner, keyring=workspace.keyring()
            ) as in_progress:
                if entry_of(catalog, system, source.name, snapshot.identifier, again=True) is None:
                    entered.append(enter(
                        in_progress, place, pair, started_by=snapshot.tags.get(RUN, "unknown"),
                        started_at=begun_at(snapshot.tags) or now(), hold=False,
                        note="found at the service and taken into the catalog",
                    ))  # fmt: skip
        except (SourceError, Refused) as error:
            left.append(str(error))
    return TakenIn(tuple(entered), tuple(left))


def record_gone(workspace: Workspace, seen: CrossCheck, by: str, now: datetime) -> None:
    """Leave a failed proof for each entry whose snapshot is gone and of which nobody has told it yet."""
    for row in seen.gone:
        if not row.damaged:
            said = f"snapshot of backup {row.manifest.name} is not in {seen.region} any more"
            workspace.catalog(seen.store).append_proof(row.manifest, Proof(
                level=ProofLevel.STORED, ok=False, at=now, by=by, store=seen.store, detail=said, failures=(said,),
            ))  # fmt: skip
