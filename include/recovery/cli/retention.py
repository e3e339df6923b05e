"""retention: what may go and what stays, each with its reason; removes only with --apply."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from include.recovery.cli.desk import Desk, desk_of, run_info
from include.recovery.cli.output import level_text, put_json, put_table, say
from include.recovery.cli.reading import AsJson, SourceName, System
from include.recovery.errors import Refused
from include.recovery.evidence.words import moment, plural, size
from include.recovery.retention.carry_out import carry_out, require_done
from include.recovery.retention.gather import SourcePlan, look, sources_of, stores_of
from include.recovery.retention.model import Decision
from include.recovery.retention.records import RunRecord


def retention(
    context: typer.Context,
    *,
    system: System,
    source: SourceName = None,
    store: Annotated[
        str | None, typer.Option("--store", help="Only this store; default: every store that the policy names.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Remove what the plan lets go. Without it nothing is changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which backups the policy keeps and which it lets go, and why; with --apply, remove those."""
    desk = desk_of(context)
    policy = desk.workspace.system(system)
    now = desk.now()
    plans = [
        look(desk.workspace, policy, name, where, now)
        for where in ([store] if store else stores_of(policy))
        for name in ([source] if source else sources_of(policy, desk.catalog(where)))
    ]
    if as_json and not apply:
        put_json([_plan_json(made) for made in plans])
    elif not as_json:
        _put_plans(plans, policy.time_zone)
    if apply:
        done = [_apply(desk, made) for made in plans]
        if as_json:
            put_json([record.model_dump(mode="json") for record in done])
        require_done(done, f"retention of {system}")
        return
    refusals = [made.plan.refusal for made in plans if made.plan.refusal]
    if refusals:
        raise Refused("; ".join(dict.fromkeys(refusals)))
    expiring = [made.backups[decision.row.key] for made in plans for decision in made.plan.expired]
    if expiring and not as_json:
        freed = size(sum(backup.manifest.stored_size for backup in expiring))
        say(f"{plural(len(expiring), 'backup')} ({freed}) may go; nothing was removed: add --apply to remove", "yellow")


def _apply(desk: Desk, made: SourcePlan) -> RunRecord:
    shown = {made.backups[decision.row.key].manifest.name for decision in made.plan.expired}
    record = carry_out(
        desk.workspace, desk.workspace.system(made.system), made.source, made.store, run=run_info(desk, "retention"),
        only=shown,
    )  # fmt: skip
    for done in record.done:
        good = {"removed": "green", "leftovers": "green", "failed": "red"}.get(done.outcome, "yellow")
        say(f"{done.backup} in {made.store}: {done.detail}", good)
    say(record.sentence, "red" if record.failures else "green")
    return record


def _put_plans(plans: list[SourcePlan], zone: str) -> None:
    put_table(
        ("store", "source", "backup", "of", "tier", "proof", "plan", "why"),
        [
            (
                made.store,
                made.source,
                decision.row.id,
                moment(decision.row.taken_at, zone),
                decision.row.tier or "by hand",
                level_text(decision.row.best, damaged=decision.row.damaged),
                _verdict(made, decision),
                decision.why,
            )
            for made in plans
            for decision in made.plan.decisions
        ],
    )
    for made in plans:
        for note in made.plan.notes:
            say(f"{made.source} in {made.store}: {note}", "yellow")
        if any(decision.row.wal is not None for decision in made.plan.decisions):
            say(f"{made.source} in {made.store}: write-ahead log: {made.plan.wal.why}")


def _verdict(made: SourcePlan, decision: Decision) -> Text:
    if decision.keep:
        return Text("keep", style="green")
    return Text("would go" if made.plan.refusal is None else "stays", style="yellow")


def _plan_json(made: SourcePlan) -> dict[str, Any]:
    return {
        "system": made.system,
        "source": made.source,
        "store": made.store,
        "refusal": made.plan.refusal,
        "notes": made.plan.notes,
        "wal": made.plan.wal.why,
        "backups": [
            {
                "id": decision.row.id,
                "kind": decision.row.kind,
                "tier": decision.row.tier,
                "of": decision.row.taken_at.isoformat(),
                "keep": decision.keep,
                "reasons": decision.reasons,
            }
            for decision in made.plan.decisions
        ],
    }
