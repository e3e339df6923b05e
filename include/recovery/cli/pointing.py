"""point, points: named moments that a restore can be aimed at; made, and listed with what each has cost."""

from __future__ import annotations

from typing import Annotated

import typer

from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.cli.desk import desk_of
from include.recovery.cli.output import good_or_bad, put_json, put_table, say
from include.recovery.cli.reading import AsJson, SourceName, StoreName, System
from include.recovery.errors import BackupCorrupt, ObjectMissing
from include.recovery.evidence.words import duration, moment
from include.recovery.restore_points import keep_point


def point(context: typer.Context, *, system: System, source: SourceName = None, as_json: AsJson = False) -> None:
    """Make a recovery point now: a named moment that a restore can be aimed at, and compared with row by row."""
    desk = desk_of(context)
    kept = keep_point(desk.workspace, desk.workspace.system(system), desk.database(system, source))
    if as_json:
        put_json(_short(kept.point) | {"stores": kept.stores})
    say(kept.in_words, "green" if kept.point.kind == "verifiable" else "yellow")
    for warning in kept.warnings:
        say(warning, "yellow")


def points(
    context: typer.Context,
    *,
    system: System,
    source: SourceName = None,
    store: StoreName = "primary",
    newest: Annotated[int, typer.Option("--newest", min=1, help="How many, counted from the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List recovery points, newest last: what a restore can be aimed at, and how long writers waited for each."""
    desk = desk_of(context)
    chosen = desk.database(system, source)
    kept = RecoveryPoints(desk.workspace.store(store))
    keys = kept.listed(system, chosen.name)[:newest]
    found: list[RecoveryPoint] = []
    for key in reversed(keys):
        try:
            found.append(kept.read(key))
        except (BackupCorrupt, ObjectMissing) as error:
            say(str(error), "red")
    if as_json:
        put_json([_short(each) for each in found])
        return
    zone, now = desk.workspace.system(system).time_zone, desk.now()
    put_table(
        ("point", "of", "age", "proves", "writers waited", "attempts", "LSN", "note"),
        [
            (
                each.name,
                moment(each.at, zone),
                duration(now - each.at),
                good_or_bad("every row" if each.fingerprint else "heartbeat", each.fingerprint is not None),
                f"{each.waited_ms:.1f} ms" if each.attempts else "no locks",
                str(each.attempts),
                each.lsn,
                each.note or "",
            )
            for each in found
        ],
    )
    if not keys:
        name = f"{system}/{chosen.name}"
        say(f"store {store} has no recovery point of {name}; make one: lifeboat point {system}", "yellow")


def _short(point: RecoveryPoint) -> dict[str, object]:
    """The point without its fingerprint, which has a line for each table."""
    return point.model_dump(mode="json", exclude={"fingerprint"})
