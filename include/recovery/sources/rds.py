"""The verbs of a database on Amazon RDS: precheck, backup, verify, restore, validate, expire, describe.

A backup is a snapshot that the service keeps in two regions; the catalog holds its entry, and no part. Where a graph
has operators of its own make, await and copy the snapshot, ``begin`` says which, ``made`` what to copy, and ``record``
enters it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Backup, CompleteBackup, Facts, ManagedCopy, Manifest, Proof, ProofLevel
from include.recovery.catalog.removal import Removed
from include.recovery.errors import BackupCorrupt, PartMissing
from include.recovery.evidence.model import Check, Outcome
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.models import PRIMARY, ProtectedSystem, Source, Tier
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.rds import scratch, take_in
from include.recovery.rds.check import problems_of
from include.recovery.rds.cross_check import CrossCheck
from include.recovery.rds.names import (
    is_ours,
    scratch_identifier,
    scratch_tags,
    snapshot_identifier,
    snapshot_tags,
)
from include.recovery.rds.place import copy_in, place_of, place_of_backup
from include.recovery.rds.records import KIND, entries, entry_of, managed
from include.recovery.rds.removal import remove_snapshot
from include.recovery.rds.scratch import ScratchInstance
from include.recovery.rds.snapshots import Snapshot
from include.recovery.rds.take import Request, found, found_in, require_ready, take
from include.recovery.rds.take_in import TakenIn, enter
from include.recovery.rds.waiting import PAUSE, Waiting
from include.recovery.sources.run_info import RunInfo, by

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


def _now() -> datetime:
    return datetime.now(UTC)


def precheck(workspace: Workspace, system: ProtectedSystem, source: Source) -> str:
    """Whether a snapshot can be taken and copied, in a sentence. That making one is allowed only a backup shows.

    :raises SourceError, SourceUnavailable, InsufficientRights: naming all that is in the way.
    """
    place = place_of(workspace, system, source)
    ready = require_ready(place.home, place.source)
    held = " and ".join(
        f"{sum(is_ours(each.tags, system.system, source.name) for each in region.snapshots())} in {region.name}"
        for region in (place.home, place.second)
    )
    return f"{ready}; it has snapshots of Lifeboat: {held}"


def backup(
    workspace: Workspace,
    system: ProtectedSystem,
    source: Source,
    tier: Tier | None,
    *,
    run: RunInfo,
    note: str | None = None,
    hold: bool = False,
    store: str = PRIMARY,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    pause: float = PAUSE,
    now: Callable[[], datetime] = _now,
) -> Manifest:
    """Take a snapshot, copy it to the second region, and enter it. It counts when this returns.

    A try whose predecessor was killed finds its snapshot and goes on waiting for it: a run makes one, and never two.

    :param pause: seconds between two looks at what the service does.
    :raises LeaseHeld: when another run writes the same backup.
    :raises SourceError: when the snapshot or its copy failed; nothing is entered.
    :raises SourceUnavailable: when one of them is stuck; a retry goes on waiting.
    """
    place, started, catalog = place_of(workspace, system, source), now(), workspace.catalog(store)
    asked = begin(workspace, system, source, tier, run=run, now=lambda: started)
    owner = Owner.of_this_process(run.run_id, run.try_number, run.url)
    with catalog.begin(
        system.system, source.name, KIND, tier=tier.name if tier else None, owner=owner, keyring=workspace.keyring()
    ) as in_progress:
        again = run.try_number > 1 or place.home.snapshot(asked.identifier) is not None
        known = entry_of(catalog, system.system, source.name, asked.identifier, again=again)
        if known is not None:
            return catalog.complete(known).manifest
        if not again:
            require_ready(place.home, place.source)
        waiting = Waiting(place.source.patience, stop or threading.Event(), progress, in_progress.check, pause)
        pair = take(system.system, place.source, asked, place.home, place.second, waiting)
        return enter(
            in_progress, place, pair, started_by=run.started_by, started_at=started, hold=hold, note=note
        )


def begin(
    workspace: Workspace,
    system: ProtectedSystem,
    source: Source,
    tier: Tier | None,
    *,
    run: RunInfo,
    now: Callable[[], datetime] = _now,
) -> Request:
    """Which snapshot a run has to make: identifier and tags. The same identifier for every try; nothing is done."""
    place = place_of(workspace, system, source)
    words = system.system, source.name, tier.name if tier else None, run.run_id
    return Request(snapshot_identifier(*words), snapshot_tags(*words, now(), place.source.tags))


def made(
    workspace: Workspace, system: ProtectedSystem, source: Source, tier: Tier | None, *, run: RunInfo
) -> Snapshot:
    """The run's snapshot in the first region, made by the operators of a graph: its ARN is what they copy.

    :raises SourceError: when it is not there or not available: an operator that waits does not tell a failed one.
    :raises Refused: when what has its identifier is not this source's.
    """
    place = place_of(workspace, system, source)
    asked = begin(workspace, system, source, tier, run=run)
    return found_in(place.home, system.system, place.source, asked.identifier)


def record(
    workspace: Workspace,
    system: ProtectedSystem,
    source: Source,
    tier: Tier | None,
    *,
    run: RunInfo,
    note: str | None = None,
    hold: bool = False,
    store: str = PRIMARY,
    now: Callable[[], datetime] = _now,
) -> Manifest:
    """Enter the snapshot that the operators of a graph have made and copied for this run; once, however often called.

    :raises SourceError: when it is not available in both regions; nothing is entered.
    :raises Refused: when what has its identifier is not this source's.
    """
    place, started, catalog = place_of(workspace, system, source), now(), workspace.catalog(store)
    identifier = begin(workspace, system, source, tier, run=run, now=lambda: started).identifier
    owner = Owner.of_this_process(run.run_id, run.try_number, run.url)
    with catalog.begin(
        system.system, source.name, KIND, tier=tier.name if tier else None, owner=owner, keyring=workspace.keyring()
    ) as in_progress:
        known = entry_of(catalog, system.system, source.name, identifier, again=run.try_number > 1)
        if known is not None:
            return catalog.complete(known).manifest
        pair = found(system.system, place.source, identifier, place.home, place.second)
        return enter(
            in_progress, place, pair, started_by=run.started_by, started_at=started, hold=hold, note=note
        )


def look(workspace: Workspace, facts: Facts, store: str) -> str:
    """Whether the service has the snapshot that a store's catalog lists, as it was recorded. Leaves no proof.

    :raises BackupCorrupt: naming what is missing or different.
    """
    copy = copy_in(facts, store)
    region = place_of_backup(workspace, facts).region(copy.region)
    if problems := problems_of(facts, copy, region):
        raise PartMissing("; ".join(problems))
    return f"RDS snapshot {copy.identifier} in {copy.region} is available, and as it was recorded"


def verify(
    workspace: Workspace,
    backup: CompleteBackup,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    progress: Progress = NO_PROGRESS,  # noqa: ARG001 - a verb
    stop: threading.Event | None = None,  # noqa: ARG001 - a verb
    now: Callable[[], datetime] = _now,
) -> Proof:
    """Ask the service for the snapshot of a store, and from the primary store for its copies too. Leaves a proof each.

    The service shows no bytes, so this proves that a snapshot is there and which one, and only a drill what it holds.

    :raises BackupCorrupt: naming everything that is missing or different, after the failed proofs were recorded.
    """
    manifest, own = backup.manifest, copy_in(backup.manifest, store)
    copies = managed(manifest).copies if own == managed(manifest).copies[0] else (own,)
    place = place_of_backup(workspace, manifest)
    problems: list[str] = []
    proofs: list[Proof] = []
    for copy in copies:
        began = monotonic()
        wrong = problems_of(manifest, copy, place.region(copy.region))
        good = f"RDS snapshot {copy.identifier} in {copy.region} is available, and as it was recorded"
        proofs.append(workspace.catalog(store).append_proof(manifest, Proof(
            level=ProofLevel.STORED if copy == own else ProofLevel.REPLICATED, ok=not wrong, at=now(), by=by(run),
            store=copy.store, detail=wrong[0] if wrong else good, failures=wrong,
            seconds=round(monotonic() - began, 3),
        )))  # fmt: skip
        problems += wrong
    if problems:
        raise BackupCorrupt(f"backup {manifest.name}: {'; '.join(problems)}")
    return proofs[0]


def restore(
    workspace: Workspace,
    backup: CompleteBackup,
    *,
    store: str = PRIMARY,
    run: RunInfo,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    pause: float = PAUSE,
) -> ScratchInstance:
    """Restore a store's snapshot to a scratch instance of its region, closed to the public. A retry finds its own.

    The original instance is neither needed nor touched. Whoever calls takes the instance away again, also when this
    has failed: ``discard``.

    :raises BackupCorrupt: when the snapshot is gone.
    """
    manifest = backup.manifest
    place, copy = place_of_backup(workspace, manifest), copy_in(manifest, store)
    identifier = scratch_identifier(manifest.name, store, run.run_id)
    tags = scratch_tags(manifest.system, manifest.source, identifier, run.run_id, place.source.tags)
    waiting = Waiting(place.source.patience, stop or threading.Event(), progress, pause=pause)
    with in_use(workspace.store(store), manifest, by(run)):
        return scratch.restore(copy, place.region(copy.region), identifier, tags, waiting)


def validate(
    workspace: Workspace,
    backup: CompleteBackup,
    restored: ScratchInstance,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    now: Callable[[], datetime] = _now,
) -> list[Check]:
    """Put the portable source's questions to a restored instance. Leaves the proof ``restored``, also a failed one.

    Never a better one: nobody saw what the database held in the moment of its snapshot, so nothing can be compared.
    """
    manifest, place = backup.manifest, place_of_backup(workspace, backup.manifest)
    portable = place.system.database(place.source.portable)
    checks = scratch.questions(restored, workspace.server(portable), portable.validation, place.source.name)
    wrong = tuple(
        f"{check.name}: found {check.found}, expected {check.expected}"
        for check in checks
        if check.outcome is Outcome.FAILED
    )
    skipped = [check.found for check in checks if check.outcome is Outcome.SKIPPED]
    told = f"nothing could be asked of it: {skipped[0]}" if skipped else (
        f"{len(checks) - len(wrong)} of {len(checks)} questions answered as expected"
    )
    workspace.catalog(store).append_proof(manifest, Proof(
        level=ProofLevel.RESTORED, ok=not wrong, at=now(), by=by(run), store=store, failures=wrong,
        detail=f"{restored.where} was available after {restored.seconds} s; {told}; its rows were not compared",
        seconds=restored.seconds,
    ))  # fmt: skip
    return checks


def discard(workspace: Workspace, backup: CompleteBackup, *, store: str = PRIMARY, run: RunInfo) -> None:
    """Take away what a run has restored, or begun to, without a last snapshot. Nothing there is fine.

    :param store: as for ``restore``, with the same run.
    :raises Refused: when it does not carry the tag of a scratch instance: no other is ever removed.
    """
    manifest = backup.manifest
    region = place_of_backup(workspace, manifest).region(copy_in(manifest, store).region)
    scratch.discard(region, scratch_identifier(manifest.name, store, run.run_id))


def expire(
    workspace: Workspace, backup: Backup, *, why: str, store: str = PRIMARY, run: RunInfo | None = None
) -> Removed:
    """Remove a store's snapshot from its region, and its entry from the store's catalog.

    The primary store's also takes those copies with it that no other store's catalog lists (any more).

    :param why: the plan's reason.
    :raises Refused: when a snapshot does not carry our tags, or is another one than the catalog means.
    """
    facts = backup.manifest

    def from_service() -> None:
        place = place_of_backup(workspace, facts)
        for copy in _meant_by(workspace, facts, store):
            remove_snapshot(facts, copy, place.region(copy.region))

    return workspace.catalog(store).remove(
        facts, why=why, by=by(run), deleter=workspace.deleter(store), first=from_service
    )


def stores_of(source: RdsSource) -> tuple[str, str]:
    """The stores whose catalogs list the snapshots of the two regions, the home region's first."""
    return PRIMARY, source.second.store


def cross_checked(
    workspace: Workspace, system: ProtectedSystem, source: Source, *, store: str, now: datetime
) -> CrossCheck:
    """What ``check_catalog`` finds, without leaving anything anywhere."""
    return take_in.look(workspace, place_of(workspace, system, source), store, now)


def check_catalog(
    workspace: Workspace,
    system: ProtectedSystem,
    source: Source,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    now: Callable[[], datetime] = _now,
) -> CrossCheck:
    """What a region has that its store's catalog does not know, and the other way round. Leaves a failed proof for each
    entry whose snapshot is gone."""
    seen = take_in.look(workspace, place_of(workspace, system, source), store, now())
    take_in.record_gone(workspace, seen, by(run), now())
    return seen


def take_in_forgotten(
    workspace: Workspace,
    system: ProtectedSystem,
    source: Source,
    *,
    run: RunInfo,
    now: Callable[[], datetime] = _now,
) -> TakenIn:
    """Enter snapshots of runs that died before their entry and were never tried again.

    :raises LeaseHeld: when a backup is running.
    """
    return take_in.take_in(workspace, place_of(workspace, system, source), run, now)


def describe(source: RdsSource) -> str:
    """What the source is, in words."""
    return (
        f"RDS instance {source.instance} in {source.home.region}, by snapshots that are copied to "
        f"{source.second.region}"
    )


def _meant_by(workspace: Workspace, facts: Facts, store: str) -> list[ManagedCopy]:
    """The snapshots that go with a store's entry."""
    own, known = copy_in(facts, store), managed(facts)
    if own != known.copies[0]:
        return [own]
    return [own, *(
        copy for copy in known.copies[1:]
        if facts.id not in {
            row.manifest.id for row in entries(workspace.catalog(copy.store), facts.system, facts.source)
        }
    )]  # fmt: skip
