"""The verbs of a whole cluster, by pgBackRest: precheck, backup, verify, check, restore, expire, describe.

The source is a PostgreSQL database of the policy; its cluster is what is backed up. All of it runs on the database's
host, as the server's operating-system user. What makes it archive in the first place is ``pgbackrest/setup.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.lease import Lease, Owner
from include.recovery.catalog.model import Backup, CompleteBackup, Facts, Manifest, PhysicalBackup, Proof, ProofLevel
from include.recovery.catalog.removal import Removed
from include.recovery.errors import BackupCorrupt, BackupNotFound, ManifestInvalid
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.pgbackrest import check as checking
from include.recovery.pgbackrest.backup import back_up, parent_id
from include.recovery.pgbackrest.cipher import KIND
from include.recovery.pgbackrest.concern import missing_of, problems_of, reachable
from include.recovery.pgbackrest.end_to_end import check_end_to_end
from include.recovery.pgbackrest.expiry import remove_backup, remove_wal
from include.recovery.pgbackrest.restore import Restored, recover, restore_cluster, unusable_databases
from include.recovery.pgbackrest.stanza import (
    Stanza,
    open_reading,
    open_stanza,
    require_archiving,
    type_of,
)
from include.recovery.pgbackrest.take_in import Taker, rows_of, signed, take_in
from include.recovery.pgbackrest.target import Target
from include.recovery.policy.models import PostgresSource, ProtectedSystem, Tier
from include.recovery.postgres.scratch import Profile
from include.recovery.postgres.tools import major_of
from include.recovery.retention.model import WalPlan
from include.recovery.sources import RunInfo
from include.recovery.workspace import PRIMARY, Workspace


def _now() -> datetime:
    return datetime.now(UTC)


def precheck(workspace: Workspace, system: ProtectedSystem, source: PostgresSource) -> str:
    """Whether the cluster can be backed up and its WAL is archived, in a sentence.

    :raises SourceError, SourceUnavailable, InsufficientRights: naming what is in the way.
    """
    stanza = open_stanza(workspace, system, source, create=True)
    require_archiving(stanza)
    cluster = stanza.cluster
    assert cluster is not None
    sums = "" if cluster.data_checksums else "; it has no data checksums, so damaged pages are backed up unnoticed"
    where = " and ".join(f"{number} ({store})" for number, store in enumerate(stanza.stores, 1))
    return (
        f"cluster {cluster.system_identifier} of {len(cluster.databases)} databases archives to repository {where}"
        f"{sums}"
    )


def backup(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    tier: Tier | None,
    *,
    run: RunInfo,
    note: str | None = None,
    hold: bool = False,
    store: str = PRIMARY,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = _now,
) -> Manifest:
    """Take a tier's backup of the cluster into the repository of one store. It exists when this returns.

    A try whose predecessor died right after pgBackRest had ended takes that backup in, and makes no second one.

    :param store: one of the tier's.
    :raises Refused: when the tier is a logical one, or does not name the store.
    :raises LeaseHeld: when another run works on the repository.
    :raises BackupCorrupt: when pages failed their checksum; the backup is in the catalog, with a failed proof.
    """
    method = type_of(system, tier, store)
    assert tier is not None
    started = now()
    stanza = open_stanza(workspace, system, source, create=True, needed=store)
    require_archiving(stanza)
    cluster, number, catalog = stanza.cluster, stanza.number(store), workspace.catalog(store)
    assert cluster is not None
    owner = Owner.of_this_process(run.run_id, run.try_number, run.url)
    place = source_prefix(system.system, source.name, KIND)
    # One for all tiers: what a run has made and not entered yet, no other may take for forgotten.
    with Lease.acquire(catalog.store, f"{place}leases/repository/", owner, writing=place) as lease:
        taker = Taker(run.run_id, run.started_by, owner, workspace.keyring())
        found = stanza.tool.info()
        manifest = take_in(catalog, stanza, store, taker, found=found)
        if manifest is None:
            with catalog.begin(
                system.system, source.name, KIND, tier=tier.name, owner=owner, keyring=taker.keyring
            ) as in_progress:
                taken = back_up(
                    stanza.tool, method, number, options=stanza.configuration.options, server_version=cluster.version,
                    annotations=signed(run.run_id, tier.name), found=found, progress=progress, stop=stop,
                )
                lease.check()
                manifest = in_progress.commit(
                    started_by=run.started_by, started_at=started, parent=parent_id(rows_of(catalog, stanza), taken),
                    note="; ".join(filter(None, (note, *taken.notes))) or None, hold=hold, **taken.fields,
                )
    _refuse_damaged_pages(workspace, manifest, store, run, now)
    return manifest


def verify(
    workspace: Workspace,
    backup: CompleteBackup,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    progress: Progress = NO_PROGRESS,  # noqa: ARG001 - pgBackRest does not say how far it is
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = _now,
) -> Proof:
    """Read the repository back, files and WAL, and judge what concerns this backup. Leaves a proof, also a failed one.

    Reads all that the repository has of the stanza: pgBackRest cannot verify one backup alone.

    :raises BackupCorrupt: naming what is damaged or missing, after the failed proof was recorded.
    """
    manifest, began, by = backup.manifest, monotonic(), _by(run)
    physical = _physical(manifest)
    stanza = _reading(workspace, manifest, store)
    number = stanza.number(store)
    with in_use(workspace.store(store), manifest, by):
        problems = missing_of(stanza, number, physical)
        if not problems:
            read = checking.verify(stanza.tool, number, stop=stop).problems
            problems = problems_of(read, physical, segment_bytes=stanza.segment_bytes)
    detail = (
        f"repository {number} was read back: the {len(physical.reference) + 1} backups that {physical.label} needs and "
        f"their WAL are as they were written ({physical.repository_size} bytes)"
    )
    proof = Proof(
        level=ProofLevel.STORED, ok=not problems, at=now(), by=by, store=store,
        detail=problems[0] if problems else detail, failures=problems, seconds=round(monotonic() - began, 3),
    )
    _record(workspace, manifest, store, proof)
    if problems:
        raise BackupCorrupt("; ".join(problems))
    return proof


def look(workspace: Workspace, backup: CompleteBackup, *, store: str = PRIMARY) -> str:
    """Whether a backup, what it stands on and the WAL that makes it consistent are in the repository; no bytes read.

    For right after an increment: ``verify`` reads everything. Leaves no proof when all is well.

    :raises BackupCorrupt: naming what is missing.
    """
    physical = _physical(backup.manifest)
    stanza = _reading(workspace, backup.manifest, store)
    problems = missing_of(stanza, stanza.number(store), physical)
    if problems:
        raise BackupCorrupt("; ".join(problems))
    return f"{physical.label}, what it stands on and its WAL are in the repository of store {store}"


def check(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    *,
    store: str = PRIMARY,
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = _now,
) -> str:
    """Whether WAL reaches every repository now, and a store's archive has all that the window promises.

    :raises SourceError: when archiving is late or pgBackRest complains.
    :raises BackupCorrupt: when WAL is missing, damaged or of another cluster.
    :raises SourceUnavailable, StoreUnavailable: when it cannot be told.
    """
    stanza = open_stanza(workspace, system, source, needed=store)
    return check_end_to_end(stanza, workspace.cluster(source), store, now=now(), stop=stop)


def find(
    workspace: Workspace, system: ProtectedSystem, source: PostgresSource, target: Target, *, store: str = PRIMARY
) -> CompleteBackup:
    """The newest backup of a store from which recovery reaches a target.

    :raises BackupNotFound: when none does, saying why; or when the catalog does not know it.
    """
    stanza = open_reading(workspace, system, source, store)
    choice = reachable(stanza, stanza.number(store), target)
    catalog = workspace.catalog(store)
    for row in rows_of(catalog, stanza):
        if row.manifest.physical is not None and row.manifest.physical.label == choice.backup.label:
            return catalog.complete(row)
    raise BackupNotFound(
        f"{system.system}/{source.name}: backup {choice.backup.label} reaches {target.in_words}, and the catalog of "
        f"store {store} does not know it; the next backup takes it in"
    )


def restore(
    workspace: Workspace,
    backup: CompleteBackup,
    directory: Path,
    *,
    target: Target | None = None,
    store: str = PRIMARY,
    databases: Sequence[str] = (),
    delta: bool = False,
    run: RunInfo | None = None,
    profile: Profile = "drill",
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> Restored:
    """Restore the cluster to a scratch folder, recover it to a target, and open it behind a private socket.

    Neither the server nor another store is needed, and nothing of them is touched.

    :param directory: of the scratch server; must not hold a cluster, unless ``delta`` uses what is there.
    :param target: None means the newest state that the archive has.
    :param databases: only these get their rows; empty means all.
    :raises BackupNotFound: when this backup does not lead to the target.
    :raises Refused: when the folder is not empty, or is the original's.
    """
    manifest, wish = backup.manifest, target or Target.newest()
    physical = _physical(manifest)
    stanza = _reading(workspace, manifest, store)
    number = stanza.number(store)
    with in_use(workspace.store(store), manifest, _by(run)):
        choice = reachable(stanza, number, wish, label=physical.label)
        copied = restore_cluster(
            stanza.configuration, directory, wish, label=physical.label, repository=number, delta=delta,
            databases=databases, progress=progress, stop=stop,
        )
        recovered = recover(
            directory, wish, major=major_of(manifest.server_version), superuser=workspace.cluster(stanza.source).user,
            at_least=choice.reach.last, segment_bytes=stanza.segment_bytes, profile=profile,
        )
    return Restored(copied, recovered, choice.skipped)


def prove_restored(
    workspace: Workspace,
    backup: CompleteBackup,
    restored: Restored,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    now: Callable[[], datetime] = _now,
) -> Proof:
    """Log in to every database of a restored cluster. Leaves the proof ``restored``, also a failed one.

    :raises BackupCorrupt: when a database of the backup is not there or cannot be used.
    """
    manifest = backup.manifest
    failures = unusable_databases(restored.server, _physical(manifest).databases)
    told = f"recovered in {restored.seconds} s to LSN {restored.recovered.lsn}, every database takes connections"
    proof = _record(workspace, manifest, store, Proof(
        level=ProofLevel.RESTORED, ok=not failures, at=now(), by=_by(run), store=store, failures=failures,
        detail=failures[0] if failures else told, seconds=restored.seconds,
    ))  # fmt: skip
    if failures:
        raise BackupCorrupt("; ".join(failures))
    return proof


def expire(
    workspace: Workspace, backup: Backup, *, why: str, store: str = PRIMARY, run: RunInfo | None = None
) -> Removed:
    """Remove a backup from repository and catalog; a record of what it was and why it went stays.

    Only for what a retention plan lets go. pgBackRest removes what stands on a backup with it, so while there is
    something, it is refused: the plan names dependants first.

    :param why: the plan's reason.
    :raises Refused: when another backup in the repository stands on it, or it is the last full one.
    :raises SourceUnavailable: when the server is gone: then nothing of it is thrown away.
    """
    facts = backup.manifest
    physical = _physical(facts)

    def from_repository() -> None:
        system = workspace.system(facts.system)
        stanza = open_stanza(workspace, system, system.database(facts.source), needed=store)
        remove_backup(stanza.tool, stanza.number(store), physical.label)

    return workspace.catalog(store).remove(
        facts, why=why, by=_by(run), deleter=workspace.deleter(store), first=from_repository
    )


def expire_wal(
    workspace: Workspace,
    system: ProtectedSystem,
    source: str,
    plan: WalPlan,
    backups: Mapping[str, Backup],
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,  # noqa: ARG001 - a verb
) -> None:
    """Remove the WAL that a plan lets go: all before the full backup that the window stands on, but for what older
    backups need to become consistent.

    :param source: name of the source.
    :param backups: those that the plan is about, by the keys of their rows.
    :raises BackupNotFound: when the repository does not have the backup that the window stands on; nothing is removed.
    """
    if plan.everything or not plan.continuous:
        return
    stanza = open_stanza(workspace, system, system.database(source), needed=store)
    bases = [_physical(backups[each.full].manifest).label for each in plan.continuous]
    remove_wal(stanza.tool, stanza.number(store), bases)


def describe(source: PostgresSource) -> str:
    """What the source is, in words."""
    physical = source.physical
    if physical is None:
        return f"the cluster of PostgreSQL database {source.database}, which the policy does not protect"
    return (
        f"the whole cluster of PostgreSQL database {source.database}, by pgBackRest from the {physical.backup_from}, "
        f"{physical.compress.type} {physical.compress.level}"
    )


def _refuse_damaged_pages(
    workspace: Workspace, manifest: Manifest, store: str, run: RunInfo, now: Callable[[], datetime]
) -> None:
    """Nothing for a backup of sound pages.

    :raises BackupCorrupt: after the failed proof was recorded, so that nobody restores from it.
    """
    physical = _physical(manifest)
    if not physical.page_checksum_errors:
        return
    said = (
        f"backup {manifest.name}: {manifest.note}; the server's own pages are damaged: restore the database from an "
        "older backup, and check the server's disk"
    )
    _record(workspace, manifest, store, Proof(
        level=ProofLevel.STORED, ok=False, at=now(), by=_by(run), store=store, detail=said, failures=(said,),
    ))  # fmt: skip
    raise BackupCorrupt(said)


def _reading(workspace: Workspace, facts: Facts, store: str) -> Stanza:
    system = workspace.system(facts.system)
    return open_reading(workspace, system, system.database(facts.source), store)


def _physical(facts: Facts) -> PhysicalBackup:
    if facts.physical is None:
        raise ManifestInvalid(f"backup {facts.name} says nothing of a repository, so it is none of pgBackRest's")
    return facts.physical


def _by(run: RunInfo | None) -> str:
    return run.started_by if run else "by hand"


def _record(workspace: Workspace, manifest: Facts, store: str, proof: Proof) -> Proof:
    return workspace.catalog(store).append_proof(manifest, proof)
