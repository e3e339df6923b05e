"""coverage, export: what exists against what is protected and proven; an export of a database as CSV."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from include.recovery.cli.desk import desk_of, run_info
from include.recovery.cli.output import put_json, put_table, say
from include.recovery.cli.reading import AsJson, SourceName, StoreName, System
from include.recovery.coverage.discover import WINDOW
from include.recovery.coverage.discover import coverage as look_at_everything
from include.recovery.errors import Refused
from include.recovery.evidence.verdict import ProofFailed
from include.recovery.evidence.words import listed, moment, size
from include.recovery.policy.durations import parse_duration
from include.recovery.sources import postgres


def coverage(
    context: typer.Context,
    *,
    systems: Annotated[list[str] | None, typer.Argument(help="Only the sources of these systems.")] = None,
    window: Annotated[
        str, typer.Option(help="How long a proof counts, such as 35d.", metavar="DURATION")
    ] = f"{WINDOW // timedelta(days=1)}d",
    as_json: AsJson = False,
) -> None:
    """What exists against what is protected, and how much of it was restored and verified lately.

    Exit code 3 when a database or bucket is in no policy and nobody said why.
    """
    desk = desk_of(context)
    seen = look_at_everything(desk.workspace, desk.now(), systems=systems or (), window=parse_duration(window))
    if as_json:
        put_json(seen.plain())
    else:
        put_table(
            ("source", "kind", "newest backup", "proven", "tables proven", "bytes proven", "unproven"),
            [
                (
                    each.name,
                    each.kind,
                    moment(each.newest_at) if each.newest_at else "none",
                    moment(each.proven_at) if each.proven_at else "never",
                    _share(each.share_of_tables),
                    _share(each.share_of_bytes),
                    each.problem
                    or listed([f"{table.name} ({size(table.size)}, {table.state})" for table in each.unproven], most=3),
                )
                for each in seen.sources
            ],
        )
        for unseen in seen.unseen:
            say(f"could not look at {unseen.kind} {unseen.where}: {unseen.why}", "yellow")
        for found in seen.unprotected:
            say(found.sentence, "red")
    if seen.unprotected:
        raise ProofFailed("coverage", tuple(found.sentence for found in seen.unprotected))


def export(
    context: typer.Context,
    *,
    system: System,
    name: Annotated[str, typer.Argument(help="Name of the export, as in the policy.")],
    wish: Annotated[
        str, typer.Option("--backup", help="Which backup: an id, 'newest', 'newest identical' ...")
    ] = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    to: Annotated[Path | None, typer.Option(help="A new file; default: standard output.", dir_okay=False)] = None,
) -> None:
    """Write an export that was taken in the snapshot of a backup, as CSV."""
    desk = desk_of(context)
    if to is not None and to.exists():
        raise Refused(f"{to} exists; name a new file, nothing is ever written over what is there")
    backup = desk.pick(system, wish, store, source, kind=postgres.KIND)
    with postgres.read_export(desk.workspace, backup, name, store=store, run=run_info(desk, "export")) as stream:
        if to is None:
            shutil.copyfileobj(stream, sys.stdout.buffer)
            return
        # It is whole only when it was read to its end: until then it has another name.
        part = to.with_name(f".{to.name}.part")
        try:
            with part.open("xb") as file:
                shutil.copyfileobj(stream, file)
            part.rename(to)
        finally:
            part.unlink(missing_ok=True)
    say(f"export {name} of backup {backup.manifest.name} is in {to}", "green")


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
