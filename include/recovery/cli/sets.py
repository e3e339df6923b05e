"""Recovery sets: bound, listed, shown."""

from __future__ import annotations

from typing import Annotated

import typer

from include.recovery.catalog.picker import parse_moment
from include.recovery.cli.desk import desk_of
from include.recovery.cli.output import level_text, put_json, put_table, say
from include.recovery.cli.reading import AsJson, StoreName, System
from include.recovery.evidence.words import duration, moment
from include.recovery.sets.gather import keep_set
from include.recovery.sets.model import RecoverySet
from include.recovery.sets.records import RecoverySets


def bind(
    context: typer.Context,
    *,
    system: System,
    before: Annotated[
        str | None, typer.Option(help="Only of that moment or older, such as 2026-11-21T08:00+01:00.")
    ] = None,
    store: StoreName = "primary",
    as_json: AsJson = False,
) -> None:
    """Bind the newest recovery points of all sources of a system into a set, and keep it."""
    desk = desk_of(context)
    now = desk.now()
    made = keep_set(
        desk.workspace, desk.workspace.system(system), before=parse_moment(before) if before else now, now=now,
        by=f"{desk.person()} (lifeboat set)", store=store,
    )  # fmt: skip
    _put(made, desk.workspace.system(system).time_zone, as_json=as_json)


def show(
    context: typer.Context,
    *,
    system: System,
    wish: Annotated[
        str, typer.Argument(help="Which: an id, 'newest set', 'newest set before 2026-11-21T08:00+01:00'.")
    ] = "newest set",
    store: StoreName = "primary",
    as_json: AsJson = False,
) -> None:
    """Show a set: to which moment each source of the system would come back, and how."""
    desk = desk_of(context)
    made = RecoverySets(desk.workspace.store(store), system).pick(wish, desk.now())
    _put(made, desk.workspace.system(system).time_zone, as_json=as_json)


def _put(made: RecoverySet, zone: str, *, as_json: bool) -> None:
    if as_json:
        put_json(made.model_dump(mode="json"))
        return
    say(f"set {made.id} of {moment(made.at, zone)}; its members are {duration(made.skew)} apart", "green")
    put_table(
        ("source", "kind", "comes back as of", "how", "backup", "proof"),
        [
            (each.source, each.kind, moment(each.at, zone), each.how, each.backup, level_text(each.level))
            for each in made.members
        ],
    )
    for source, why in made.lacking.items():
        say(f"lacks {source}: {why}", "red")
    for note in made.notes:
        say(note, "yellow")
