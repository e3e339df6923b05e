"""backup, sweep, reopen."""

from __future__ import annotations

from typing import Annotated

import typer

from include.recovery.cli.contents import back_up
from include.recovery.cli.desk import Desk, desk_of, run_info
from include.recovery.cli.output import bar, put_json, say
from include.recovery.cli.reading import AsJson, SourceName, StoreName, System
from include.recovery.evidence.words import duration, listed, plural, size
from include.recovery.policy.durations import parse_duration
from include.recovery.policy.models import ContentSource, PostgresSource, ProtectedSystem, Tier
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.postgres.swap import release
from include.recovery.sources import kind_of, verbs


def backup(
    context: typer.Context,
    *,
    system: System,
    source: SourceName = None,
    tier: Annotated[str | None, typer.Option(help="Count it as a backup of this tier; default: by hand.")] = None,
    note: Annotated[str | None, typer.Option(help="Why it was taken, such as 'before upgrade 2.4'.")] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Keep it until somebody lifts the hold.")] = False,
    as_json: AsJson = False,
) -> None:
    """Back a source up now, such as before an upgrade; a tier of a database's cluster into each of its stores."""
    desk = desk_of(context)
    policy = desk.workspace.system(system)
    chosen = desk.source(system, source)
    if isinstance(chosen, ContentSource):
        back_up(desk, policy, chosen, policy.tier(tier) if tier else None, note=note, hold=hold, as_json=as_json)
        return
    if isinstance(chosen, RdsSource):
        _take_snapshot(desk, policy, chosen, policy.tier(tier) if tier else None, note=note, hold=hold, as_json=as_json)
        return
    if tier is not None and policy.tier(tier).is_physical:
        _back_up_cluster(desk, policy, chosen, policy.tier(tier), note=note, hold=hold, as_json=as_json)
        return
    with bar(f"backing up {chosen.database}", None, by_content=True) as progress:
        manifest = verbs(chosen.kind).backup(
            desk.workspace, policy, chosen, policy.tier(tier) if tier else None, run=run_info(desk, "backup"),
            note=note, hold=hold, progress=progress,
        )  # fmt: skip
    if as_json:
        put_json(manifest.summary().model_dump(mode="json"))
    holds = f"{plural(manifest.tables, 'table')}, {size(manifest.source_size)} in {size(manifest.stored_size)}"
    say(f"{manifest.name}: {holds}, {duration(manifest.finished_at - manifest.started_at)}", "green")
    for left in manifest.left_out:
        say(f"left out: {left.what}: {left.why}", "yellow")


def _take_snapshot(
    desk: Desk, policy: ProtectedSystem, source: RdsSource, tier: Tier | None, *, note: str | None, hold: bool,
    as_json: bool,
) -> None:  # fmt: skip
    with bar(f"taking a snapshot of {source.name}", None, by_content=True) as progress:
        manifest = verbs(source.kind).backup(
            desk.workspace, policy, source, tier, run=run_info(desk, "backup"), note=note, hold=hold, progress=progress
        )
    if as_json:
        put_json(manifest.summary().model_dump(mode="json"))
    copies = listed([f"{copy.region}" for copy in manifest.managed.copies]) if manifest.managed else "nowhere"
    say(f"{manifest.name}: {size(manifest.source_size)}, in {copies}", "green")


def _back_up_cluster(
    desk: Desk, policy: ProtectedSystem, source: PostgresSource, tier: Tier, *, note: str | None, hold: bool,
    as_json: bool,
) -> None:
    made = []
    for store in tier.stores:
        with bar(f"backing up the cluster of {source.name} to {store}", None, by_content=True) as progress:
            manifest = verbs(kind_of(source, tier)).backup(
                desk.workspace, policy, source, tier, run=run_info(desk, "backup"), note=note, hold=hold, store=store,
                progress=progress,
            )  # fmt: skip
        made.append(manifest.summary().model_dump(mode="json"))
        holds = f"{size(manifest.source_size)} in {size(manifest.stored_size)}"
        took = duration(manifest.finished_at - manifest.started_at)
        say(f"{manifest.name} in store {store}: {holds}, {took}", "green")
        if manifest.note:
            say(manifest.note, "yellow")
    if as_json:
        put_json(made)


def sweep(
    context: typer.Context,
    *,
    store: StoreName = "primary",
    grace: Annotated[str, typer.Option(help="Leave alone what is younger than this, such as 24h.")] = "24h",
) -> None:
    """Remove what killed runs left behind. Finished backups are never touched."""
    desk = desk_of(context)
    try:
        period = parse_duration(grace)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--grace") from None
    catalog = desk.catalog(store)
    removed = catalog.sweep(period, desk.now(), deleter=desk.workspace.deleter(store))
    for prefix in removed:
        say(f"removed {prefix}")
    waiting = catalog.debris()
    for prefix, debris in waiting.items():
        say(f"{prefix} ({size(debris.size)}) is locked until {debris.locked_until or 'an unknown date'}", "yellow")
    pieces = plural(len(removed), "piece")
    say(f"store {store}: {pieces} of debris removed, {len(waiting)} waiting for the end of their lock", "green")


def reopen(context: typer.Context, system: System, source: SourceName = None) -> None:
    """Let the application into a database again that a recovery has isolated and then given up."""
    desk = desk_of(context)
    server = desk.workspace.server(desk.database(system, source), "restore")
    release(server)
    say(f"{server.redacted} takes connections again", "green")
