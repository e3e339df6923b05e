"""The verbs of a PostgreSQL database: precheck, backup, restore, verify, compare, validate, expire, describe."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from time import monotonic
from typing import BinaryIO, Protocol

from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Backup, CompleteBackup, Manifest, Proof, ProofLevel
from include.recovery.catalog.removal import Removed
from include.recovery.errors import NotIdentical, Refused
from include.recovery.evidence.model import Check, Outcome
from include.recovery.fingerprint.compare import compare as compare_fingerprints
from include.recovery.fingerprint.measure import measure_like
from include.recovery.fingerprint.model import Comparison
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.models import PostgresSource, ProtectedSystem, Tier
from include.recovery.postgres.backup import BackupOptions, back_up_database
from include.recovery.postgres.export_streams import Checked
from include.recovery.postgres.exports import ExportQuery, check_export, compare_exports, export_of
from include.recovery.postgres.preflight import Readiness, check
from include.recovery.postgres.reading import Source, part_of
from include.recovery.postgres.restore import RestoreOptions, RestoreReport, restore_database
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tables import TablesReport
from include.recovery.postgres.tables import restore_tables as restore_tables_of
from include.recovery.runbook.questions import ask
from include.recovery.sources.run_info import RunInfo, by
from include.recovery.sources.stored_parts import verify as verify_parts
from include.recovery.workspace import PRIMARY, Workspace

KIND = "postgres"


class Clock(Protocol):
    """Tells the time, UTC."""

    def __call__(self) -> datetime: ...


def _now() -> datetime:
    return datetime.now(UTC)


def precheck(workspace: Workspace, system: ProtectedSystem, source: PostgresSource) -> str:  # noqa: ARG001 - a verb
    """Whether the source can be backed up completely, in a sentence.

    :raises InsufficientRights, RowsHidden, SourceError, SourceUnavailable: naming all that is in the way.
    """
    server = workspace.server(source)
    found = check(server, _excluded(source))
    for export in _exports(source):
        check_export(server, export)
    return _in_words(found)


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
    now: Clock = _now,
) -> Manifest:
    """Take a logical backup. It exists when this returns, and otherwise nothing of it counts.

    :param tier: None for one by hand outside any tier.
    :param note: why it was taken by hand.
    :param hold: keep it until somebody releases it.
    :param stop: ends the backup when set.
    :raises LeaseHeld: when another run is writing the same backup.
    :raises LeaseLost: when another run took over in the middle.
    :raises Refused: when the tier is a physical one.
    """
    if tier is not None and tier.is_physical:
        known = ", ".join(each.name for each in system.tiers_of(source) if not each.is_physical) or "none"
        raise Refused(
            f"{system.system}: tier {tier.name!r} is {tier.method}, which pgBackRest takes; a dump can be of the tiers "
            f"with method logical: {known}"
        )
    started = now()
    owner = Owner.of_this_process(run.run_id, run.try_number, run.url)
    options = BackupOptions(
        streams=source.logical.streams,
        zstd_level=source.logical.zstd_level,
        exclude=_excluded(source),
        coverage=source.fingerprint.coverage,
        fingerprint_workers=source.fingerprint.workers,
        exports=_exports(source),
    )
    with workspace.catalog(store).begin(
        system.system, source.name, KIND, tier=tier.name if tier else None, owner=owner, keyring=workspace.keyring()
    ) as in_progress:
        taken = back_up_database(workspace.server(source), in_progress, options, progress=progress, stop=stop)
        return in_progress.commit(started_by=run.started_by, started_at=started, note=note, hold=hold, **taken.fields)


def restore(
    workspace: Workspace,
    backup: CompleteBackup,
    target: PostgresServer,
    *,
    store: str = PRIMARY,
    database: str | None = None,
    tables: Collection[str] = (),
    run: RunInfo | None = None,
    streams: int | None = None,
    roles: bool = True,
    statistics: bool = True,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> RestoreReport:
    """Restore a backup into a database that does not exist yet, or is empty.

    :param target: the server, as a role that may make databases.
    :param database: the name to restore to; None means the target's.
    :param tables: only their rows are fetched (and all definitions); empty means everything.
    :param streams: None means the policy's number, or 2 when the system has no policy any more.
    :param statistics: analyse every table at the end.
    :raises Refused: when the database exists and is not empty.
    """
    manifest = backup.manifest
    with in_use(workspace.store(store), manifest, by(run)):
        return restore_database(
            manifest, workspace.store(store), workspace.catalog(store).key(manifest, workspace.keyring()), target,
            database=database or target.database,
            tables=tables,
            options=RestoreOptions(
                streams=streams or _streams(workspace, manifest), roles=roles, statistics=statistics
            ),
            progress=progress,
            stop=stop,
        )


def restore_tables(
    workspace: Workspace,
    backup: CompleteBackup,
    target: PostgresServer,
    *,
    tables: Collection[str],
    schema: str,
    store: str = PRIMARY,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> TablesReport:
    """Restore tables into a new schema of a live database, beside the originals, which are not touched.

    :param schema: must not exist yet.
    """
    manifest = backup.manifest
    with in_use(workspace.store(store), manifest, by(None)):
        return restore_tables_of(
            manifest, workspace.store(store), workspace.catalog(store).key(manifest, workspace.keyring()), target,
            tables=tables, schema=schema, progress=progress, stop=stop,
        )


def verify(
    workspace: Workspace,
    backup: CompleteBackup,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    progress: Progress = NO_PROGRESS,
    now: Clock = _now,
) -> Proof:
    """Read every stored part back and compare its SHA-512 with the manifest. Needs no key; leaves a proof."""
    return verify_parts(workspace, backup, store=store, run=run, progress=progress, now=now)


def compare(
    workspace: Workspace,
    backup: CompleteBackup,
    target: PostgresServer,
    *,
    tables: Collection[str] | None = None,
    renamed: Mapping[str, str] | None = None,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    workers: int = 2,
    stop: threading.Event | None = None,
    evidence: str | None = None,
    now: Clock = _now,
) -> tuple[Comparison, Proof]:
    """Fingerprint a restored copy and compare it with what its backup recorded. Leaves a proof, also a failed one.

    The backup's CSV exports are made again from the copy; one that differs is a difference as a table's.

    :param tables: only these, and no exports; the proof then says no more than that they were restored.
    :param renamed: where tables were restored under other names: name in the backup to name in the copy.
    :param store: whose copy of the backup was restored.
    :raises NotIdentical: when the backup has no fingerprint at all.
    """
    manifest, began = backup.manifest, monotonic()
    expected = manifest.fingerprint
    if expected is None:
        raise NotIdentical(
            f"backup {manifest.name} was taken without a fingerprint, so nothing can be compared; take a new one"
        )
    chosen = None if tables is None else _with_partitions(tables, expected.tables, target)
    names = renamed or {}
    measured = measure_like(
        expected, partial(target.connect), workers=workers, stop=stop,
        tables=None if chosen is None else [names.get(name, name) for name in chosen],
    )
    comparison = compare_fingerprints(expected, measured, tables=chosen, renamed=renamed, sequences="at least")
    if chosen is None:
        comparison = _with_exports(comparison, manifest, target, stop)
    whole = chosen is None and comparison.identical
    proof = Proof(
        level=ProofLevel.IDENTICAL if whole or (comparison.differences and chosen is None) else ProofLevel.RESTORED,
        ok=comparison.equal_as_far_as_compared,
        at=now(),
        by=by(run),
        store=store,
        detail=comparison.verdict,
        failures=tuple(difference.message for difference in comparison.differences),
        seconds=round(monotonic() - began, 3),
        evidence=evidence,
    )
    return comparison, _record(workspace, manifest, store, proof)


def validate(
    workspace: Workspace,
    backup: CompleteBackup,
    target: PostgresServer,
    *,
    store: str = PRIMARY,
    run: RunInfo | None = None,
    now: Clock = _now,
) -> list[Check]:
    """Ask a restored copy the system's own questions. Leaves a proof, also a failed one."""
    manifest, began = backup.manifest, monotonic()
    source = workspace.system(manifest.system).source(manifest.source)
    checks = ask(target, source.validation, source=source.name)
    wrong = tuple(
        f"{check.name}: found {check.found}, expected {check.expected}"
        for check in checks
        if check.outcome is not Outcome.PASSED
    )
    if checks:
        _record(workspace, manifest, store, Proof(
            level=ProofLevel.VALIDATED, ok=not wrong, at=now(), by=by(run), store=store,
            detail=f"{len(checks) - len(wrong)} of {len(checks)} questions answered as expected", failures=wrong,
            seconds=round(monotonic() - began, 3),
        ))
    return checks


def read_export(
    workspace: Workspace, backup: CompleteBackup, name: str, *, store: str = PRIMARY, run: RunInfo | None = None
) -> BinaryIO:
    """The CSV of an export of a backup, decrypted as it is read. Close it: until then, the backup is in use.

    :param name: of the export, as the policy and the manifest have it.
    :raises BackupNotFound: when the backup has no export of that name, naming those it has.
    :raises PartMissing, PartDamaged: also while it is read; only at its end it is known to be whole.
    """
    manifest = backup.manifest
    export = export_of(manifest.exports, name, manifest.name)
    with ExitStack() as stack:
        stack.enter_context(in_use(workspace.store(store), manifest, by(run)))
        source = Source(manifest, workspace.store(store), workspace.catalog(store).key(manifest, workspace.keyring()))
        stream = stack.enter_context(source.open(part_of(source, export.part)))
        return BufferedReader(Checked(stream, export, stack.pop_all().close), 1024 * 1024)


def expire(
    workspace: Workspace, backup: Backup, *, why: str, store: str = PRIMARY, run: RunInfo | None = None
) -> Removed:
    """Remove a backup from a store, as far as object lock allows; a record of what it was and why it went stays.

    Only for what a retention plan lets go: nothing is asked here but whether somebody reads it right now.

    :param why: the plan's reason.
    :raises ObjectLocked: when nothing locks it, and the store's credentials for expiry may not delete it either.
    """
    return workspace.catalog(store).remove(
        backup.manifest, why=why, by=by(run), deleter=workspace.deleter(store)
    )


def describe(source: PostgresSource) -> str:
    """What the source is, in words."""
    return f"PostgreSQL database {source.database}, dumped in {source.logical.streams} streams"


def _excluded(source: PostgresSource) -> dict[str, str]:
    return {entry.table: entry.why for entry in source.exclude}


def _exports(source: PostgresSource) -> tuple[ExportQuery, ...]:
    return tuple(
        ExportQuery(
            name=export.name, table=export.table or "", columns=export.columns, sql=export.sql or "",
            order_by=export.order_by, note=export.note,
        )
        for export in source.exports
    )


def _with_exports(
    comparison: Comparison, manifest: Manifest, target: PostgresServer, stop: threading.Event | None
) -> Comparison:
    """A comparison that covers the exports of a backup too."""
    found = compare_exports(manifest.exports, target, stop=stop)
    return comparison.model_copy(update={
        "identical": comparison.identical and not found,
        "differences": (*comparison.differences, *found),
        "compared_exports": len(manifest.exports),
    })


def _in_words(found: Readiness) -> str:
    left_out = f"; left out: {', '.join(entry.what for entry in found.left_out)}" if found.left_out else ""
    return f"role {found.role} can read all {found.tables} tables{left_out}"


def _streams(workspace: Workspace, manifest: Manifest) -> int:
    source = next(
        (source for system in workspace.policies.systems.values() if system.system == manifest.system
         for source in system.databases if source.name == manifest.source), None
    )
    return source.logical.streams if source else 2


def _with_partitions(tables: Collection[str], known: Collection[str], target: PostgresServer) -> list[str]:
    """The tables that a fingerprint has: partitioned ones as their leaves."""
    result: list[str] = []
    with target.connect() as connection:
        for name in tables:
            if name in known:
                result.append(name)
                continue
            result += [row[0] for row in connection.execute(
                "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)"
                "  FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%s)) t"
                "  JOIN pg_catalog.pg_class c ON c.oid = t.relid"
                "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                " WHERE t.isleaf AND c.relkind = 'r' ORDER BY 1", (name,))] or [name]
    return result


def _record(workspace: Workspace, manifest: Manifest, store: str, proof: Proof) -> Proof:
    return workspace.catalog(store).append_proof(manifest, proof)
