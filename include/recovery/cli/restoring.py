"""restore: into a new database, schema or folder by default; over what is live only through the interlock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from include.recovery.catalog.model import CompleteBackup
from include.recovery.cli import overwriting
from include.recovery.cli.contents import restore_copy
from include.recovery.cli.desk import Desk, desk_of, split
from include.recovery.cli.output import bar, say
from include.recovery.cli.proving import compare_with, restore_into
from include.recovery.cli.reading import SourceName, StoreName, System, Wish
from include.recovery.cli.rewinding import Rewind, rewind
from include.recovery.errors import Refused
from include.recovery.evidence.words import moment, plural
from include.recovery.postgres.facts import target_facts
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.interlock import check_unoccupied
from include.recovery.runbook.safeguard import staging_database, staging_schema
from include.recovery.sources import verbs


def restore(
    context: typer.Context,
    *,
    system: System,
    wish: Wish = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    into: Annotated[
        str | None,
        typer.Option(
            help="Name of the new database, with --tables of the new schema; default: one with the time. Of a "
            "source that is no database, the new folder."
        ),
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            help="Only these tables, separated by commas, such as public.users; only their parts are read. Of a source "
            "that is no database, beginnings of names."
        ),
    ] = None,
    on: Annotated[str | None, typer.Option(help="Connection to another server to restore to.")] = None,
    check: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Compare every restored row with the backup's snapshot.")
    ] = True,
    statistics: Annotated[
        bool,
        typer.Option(help="Analyse every table of a restored database, so that its first queries are planned well."),
    ] = True,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="MOMENT",
            help="The whole cluster as it was then, into --directory: '2026-11-21 14:03:07' (the system's time zone), "
            "lsn:0/3000028, the name of a recovery point, 'newest point', newest (all that is archived).",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(help="Folder for the cluster of --to; must not exist yet, or be empty.", file_okay=False),
    ] = None,
    over_live: Annotated[
        bool,
        typer.Option("--over-live", help="Replace the live database, or rows of --tables; needs a signed approval."),
    ] = False,
    approve: Annotated[
        str | None,
        typer.Option(metavar="PERSON", help="Approve the plan as this person, after typing the database's name."),
    ] = None,
    run: Annotated[str | None, typer.Option(help="Go on with this run's plan, such as with a second approval.")] = None,
    requester: Annotated[
        str | None, typer.Option("--as", metavar="PERSON", help="Who asks for it; default: the system's user name.")
    ] = None,
) -> None:
    """Restore a backup: beside the live database by default, over it only with --over-live and an approval.

    With --to, the whole cluster is recovered to a moment, into a folder of its own, and left running there.
    """
    desk = desk_of(context)
    names = split(tables)
    content = desk.content_source(system, source)
    if content is not None:
        if to or directory or on or over_live or approve or run or requester or into is None:
            raise typer.BadParameter(
                f"{content.name} is restored as a copy: name its folder with --into, and what of it with --tables; to "
                "put it back in its place, see `lifeboat put-back`"
            )
        restore_copy(
            desk, content, system, wish=wish, store=store, folder=Path(into), only=names, check=check
        )
        return
    if to is not None or directory is not None:
        if to is None or directory is None:
            raise typer.BadParameter("--to and --directory go together: to which moment, and into which folder")
        if into or on or tables or over_live or approve or run or requester or wish != "newest":
            raise typer.BadParameter(
                "--to restores a whole cluster to a folder: besides it only --source, --store and --no-compare; to "
                "replace the live database by its state at a moment, run the runbook's scenario point_in_time"
            )
        chosen = desk.database(system, source)
        rewind(desk, Rewind(desk.workspace.system(system), chosen, to, store, directory, check))
        return
    if over_live:
        if into or on:
            raise typer.BadParameter("--over-live restores to the live database; leave --into and --on away")
        overwriting.overwrite(
            desk,
            overwriting.Request(system, desk.database(system, source), store, wish, names, run, requester, approve),
        )
        return
    if approve or run or requester:
        raise typer.BadParameter("--approve, --run and --as belong to --over-live")
    backup = desk.pick(system, wish, store, source, kind="postgres")
    aside = _Aside(desk, backup, store, desk.target(system, backup.manifest.source, on))
    if names:
        aside.tables(names, into)
    else:
        aside.database(into, check=check, statistics=statistics)


@dataclass(frozen=True)
class _Aside:
    """A restore beside what is live."""

    desk: Desk
    backup: CompleteBackup
    store: str
    server: PostgresServer

    def database(self, name: str | None, *, check: bool, statistics: bool) -> None:
        """The whole database under a new name."""
        manifest = self.backup.manifest
        now = self.desk.now()
        target = self.server.with_database(name or staging_database(manifest.database or self.server.database, now))
        check_unoccupied(target_facts(target, now=now))
        restore_into(self.desk, self.backup, self.store, target, statistics=statistics)
        say(f"backup {manifest.name} of {moment(manifest.snapshot_at)} is restored as {target.redacted}", "green")
        if check and manifest.fingerprint is not None:
            compare_with(self.desk, self.backup, target, store=self.store)

    def tables(self, names: tuple[str, ...], schema: str | None) -> None:
        """Some tables in a new schema of the database."""
        manifest = self.backup.manifest
        schema = schema or staging_schema(self.desk.now())
        live = manifest.database or self.server.database
        target = self.server.with_database(live)
        facts = target_facts(target, now=self.desk.now())
        if not facts.exists:
            raise Refused(f"{facts} does not exist; restore the whole database, or make one with its types first")
        with bar(f"restoring {plural(len(names), 'table')} of {manifest.id}", None) as progress:
            report = verbs(manifest.kind).restore_tables(
                self.desk.workspace, self.backup, target, tables=names, schema=schema, store=self.store,
                progress=progress,
            )  # fmt: skip
        for table in report.tables:
            say(f"{table.original} is restored as {table.copy}: {plural(table.rows, 'row')}", "green")
        for left in report.left_out:
            say(f"left away: {left}", "yellow")
