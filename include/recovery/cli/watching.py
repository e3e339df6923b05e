"""watch, standby: what the watchdog sees now, and whether a standby would do for a failover. Nobody is told."""

from __future__ import annotations

from typing import Annotated

import typer

from include.recovery.cli.desk import desk_of
from include.recovery.cli.output import put_facts, put_json, put_table, say
from include.recovery.cli.reading import AsJson, SourceName, System
from include.recovery.concerns import Severity
from include.recovery.errors import LifeboatError, PolicyError
from include.recovery.evidence.verdict import ProofFailed
from include.recovery.evidence.words import duration, moment, plural
from include.recovery.postgres.standby import watch as watch_standby
from include.recovery.watchdog.alarms import AlarmBook
from include.recovery.watchdog.look import Look
from include.recovery.watchdog.watch import examine_all
from include.recovery.workspace import PRIMARY


def watch(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(help="Only these systems; default all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Look at what the watchdog looks at, now: late backups, RPO, servers, archives, drills. Nobody is told."""
    desk = desk_of(context)
    look = Look.around(desk.workspace, desk.now(), systems or ())
    try:
        book = AlarmBook([desk.workspace.store(PRIMARY)])
    except LifeboatError:
        book = AlarmBook([])
    found = [(after.system, alarm) for _, after in examine_all(look, book) for alarm in after.on]
    if as_json:
        put_json([{"system": system, **alarm.model_dump(mode="json")} for system, alarm in found])
    elif found:
        put_table(
            ("system", "severity", "for", "what"),
            [
                (system, alarm.grade.name.lower(), duration(look.now - alarm.since), alarm.sentence)
                for system, alarm in found
            ],
        )
    critical = tuple(alarm.sentence for _, alarm in found if alarm.grade is Severity.CRITICAL)
    looked = plural(len(look.systems), "system")
    if critical:
        raise ProofFailed(f"{plural(len(critical), 'critical alarm')} of {looked}", critical)
    say(f"{looked}: nothing critical", "green")


def standby(context: typer.Context, *, system: System, source: SourceName = None, as_json: AsJson = False) -> None:
    """Show a hot standby: how far it is behind, its timeline, and whether it is a candidate for a failover."""
    desk = desk_of(context)
    chosen = desk.database(system, source)
    if chosen.physical is None or chosen.physical.standby is None:
        raise PolicyError(
            [f"{system}.yaml: source {chosen.name!r} names no 'physical.standby', so there is none to watch"]
        )
    workspace = desk.workspace
    report = watch_standby(workspace.cluster(chosen, standby=True), workspace.cluster(chosen), now=desk.now())
    if as_json:
        put_json({
            "system": system, "source": chosen.name, "at": report.at.isoformat(), "lag_bytes": report.lag_bytes,
            "lag_seconds": report.lag_seconds, "timeline": report.timeline, "candidate": report.candidate,
            "why_not": report.why_not,
            "concerns": [
                {"severity": each.severity.name.lower(), "cause": each.cause, "sentence": each.sentence}
                for each in report.concerns
            ],
        })
    else:
        behind = "unknown" if report.lag_bytes is None else f"{report.lag_bytes / 1024**2:,.1f} MiB"
        late = "unknown" if report.lag_seconds is None else duration(report.lag_seconds)
        put_facts({
            "standby of": f"{system}/{chosen.name}",
            "behind": f"{behind}, {late}",
            "timeline": str(report.timeline or "unknown"),
            "at": moment(report.at, workspace.system(system).time_zone),
            "candidate": "yes" if report.candidate else "no",
        })
    for concern in report.concerns:
        say(concern.sentence, "red" if concern.severity is Severity.CRITICAL else "yellow")
    if not report.candidate:
        raise ProofFailed(f"the standby of {system}/{chosen.name} is no candidate for a failover", report.why_not)
    say("a candidate for a failover", "green")
