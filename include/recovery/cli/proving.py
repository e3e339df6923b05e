"""verify, compare: prove a backup, and leave the proof in its catalog."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from include.recovery.catalog.model import CompleteBackup
from include.recovery.cli.contents import prove
from include.recovery.cli.desk import Desk, desk_of, run_info, split
from include.recovery.cli.output import bar, say
from include.recovery.cli.reading import Kind, SourceName, StoreName, System, Wish
from include.recovery.errors import NotIdentical
from include.recovery.evidence.words import plural, size
from include.recovery.fingerprint.compare import compare as compare_fingerprints
from include.recovery.fingerprint.measure import measure_like
from include.recovery.fingerprint.model import Comparison
from include.recovery.postgres.scratch import ScratchServer, version_needed
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources import CONTENT_KINDS, verbs


def verify(
    context: typer.Context,
    *,
    system: System,
    wish: Wish = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    kind: Kind = None,
    restore: Annotated[
        bool,
        typer.Option("--restore", help="Also restore it on a scratch server and compare every row with its snapshot."),
    ] = False,
    scratch: Annotated[
        Path | None,
        typer.Option(help="Folder for the scratch server; it needs the size of the database.", file_okay=False),
    ] = None,
) -> None:
    """Read every stored part of a backup and compare its SHA-512; with --restore, prove that it is the data.

    Of a backup of the cluster (--kind pgbackrest) pgBackRest reads its whole repository back; with --restore the
    cluster is recovered on a scratch server and opened.
    """
    desk = desk_of(context)
    backup = desk.pick(system, wish, store, source, kind=kind)
    manifest = backup.manifest
    if manifest.physical is not None:
        _verify_cluster(desk, backup, store, scratch if restore else None, restore=restore)
        return
    with bar(f"reading {manifest.id}", manifest.stored_size) as progress:
        verbs(manifest.kind).verify(
            desk.workspace, backup, store=store, run=run_info(desk, "verify"), progress=progress
        )
    parts = plural(len(manifest.parts), "part")
    say(f"{manifest.name} in store {store}: {parts}, {size(manifest.stored_size)}, SHA-512 as written", "green")
    if restore and manifest.kind in CONTENT_KINDS:
        prove(desk, backup, store, scratch)
    elif restore:
        with scratch_copy(desk, backup, store, scratch) as copy:
            compare_with(desk, backup, copy, store=store)


def _verify_cluster(desk: Desk, backup: CompleteBackup, store: str, scratch: Path | None, *, restore: bool) -> None:
    """A backup in a repository; with ``restore`` also on a scratch server, which is gone afterwards."""
    kind, run = verbs(backup.manifest.kind), run_info(desk, "verify")
    say(f"{backup.manifest.name}: {kind.verify(desk.workspace, backup, store=store, run=run).detail}", "green")
    if restore:
        with tempfile.TemporaryDirectory(prefix="lifeboat-verify-", dir=scratch) as directory:
            place = Path(directory) / "server"
            try:
                restored = kind.restore(desk.workspace, backup, place, store=store, run=run)
                proof = kind.prove_restored(desk.workspace, backup, restored, store=store, run=run)
            finally:
                ScratchServer.remove(place)
        say(f"{backup.manifest.name}: {proof.detail}", "green")


def compare(
    context: typer.Context,
    *,
    system: System,
    wish: Wish = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    database: Annotated[
        str | None,
        typer.Option("--with", help="Name of the restored database to compare with; default: the live one."),
    ] = None,
    on: Annotated[str | None, typer.Option(help="Connection to the server it is on.")] = None,
    tables: Annotated[str | None, typer.Option(help="Only these tables, separated by commas.")] = None,
) -> None:
    """Compare every row of a database with a backup, and say what differs by table and by how many rows."""
    desk = desk_of(context)
    backup = desk.pick(system, wish, store, source, kind="postgres")
    server = desk.target(system, backup.manifest.source, on)
    copy = server.with_database(database or backup.manifest.database or server.database)
    if database is None:
        # The live database goes on changing: a difference there says nothing about the backup.
        compare_with(desk, backup, copy, store=store, tables=split(tables), lasting=False)
    else:
        compare_with(desk, backup, copy, store=store, tables=split(tables))


@contextmanager
def scratch_copy(desk: Desk, backup: CompleteBackup, store: str, folder: Path | None) -> Iterator[PostgresServer]:
    """A backup restored on a scratch server, which is gone afterwards, whatever happens."""
    manifest = backup.manifest
    with tempfile.TemporaryDirectory(prefix="lifeboat-verify-", dir=folder) as directory:
        place = Path(directory) / "server"
        scratch = ScratchServer.start(place, major=version_needed(manifest.server_version))
        try:
            copy = scratch.server(manifest.database or "restored")
            restore_into(desk, backup, store, copy)
            yield copy
        finally:
            scratch.stop()


def restore_into(
    desk: Desk, backup: CompleteBackup, store: str, target: PostgresServer, *, tables: tuple[str, ...] = (),
    statistics: bool = True,
) -> None:
    """Restore into a database that does not exist yet or is empty; anything else is refused by the engine."""
    manifest = backup.manifest
    total = manifest.stored_size if not tables else None
    with bar(f"restoring {manifest.id}", total) as progress:
        verbs(manifest.kind).restore(
            desk.workspace, backup, target, store=store, database=target.database, tables=tables,
            run=run_info(desk, "restore"), statistics=statistics, progress=progress,
        )  # fmt: skip


def compare_with(
    desk: Desk,
    backup: CompleteBackup,
    copy: PostgresServer,
    *,
    store: str,
    tables: tuple[str, ...] = (),
    lasting: bool = True,
) -> None:
    """Compare a copy with its backup's fingerprint.

    :param store: whose copy of the backup was restored.
    :param lasting: whether to leave the result as a proof in the catalog.
    :raises NotIdentical: naming what differs.
    """
    manifest = backup.manifest
    if lasting:
        comparison, _ = verbs(manifest.kind).compare(
            desk.workspace, backup, copy, tables=tables or None, store=store, run=run_info(desk, "compare")
        )
    else:
        comparison = _compared(backup, copy, tables)
    for left in comparison.not_compared:
        say(f"not compared: {left.object}: {left.why}", "yellow")
    if comparison.differences:
        named = "; ".join(difference.message for difference in comparison.differences)
        raise NotIdentical(f"{copy.redacted} is not identical with backup {manifest.name}: {named}")
    say(f"{copy.redacted}, compared with backup {manifest.name}: {comparison.verdict}", "green")


def _compared(backup: CompleteBackup, live: PostgresServer, tables: tuple[str, ...]) -> Comparison:
    """How a database that goes on changing differs from a backup now."""
    expected = backup.manifest.fingerprint
    if expected is None:
        raise NotIdentical(f"backup {backup.manifest.name} has no fingerprint to compare with; take a new one")
    chosen = tables or None
    return compare_fingerprints(expected, measure_like(expected, live.connect, tables=chosen), tables=chosen)
