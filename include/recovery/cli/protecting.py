"""prepare, beat: what has to be there before a disaster, and what is written all the time for it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from include.recovery.cli.desk import Desk, desk_of
from include.recovery.cli.output import say
from include.recovery.cli.reading import SourceName, System
from include.recovery.errors import LifeboatError, PolicyError
from include.recovery.evidence.words import plural
from include.recovery.heartbeats import keep_beating, pulses
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.prepare import prepare as prepare_database
from include.recovery.postgres.server import PostgresServer


def prepare(
    context: typer.Context,
    *,
    system: System,
    admin: Annotated[
        str | None, typer.Option(help="Connection of a superuser (or of a managed service's master user).")
    ] = None,
    physical: Annotated[
        bool,
        typer.Option(
            "--physical",
            help="Make the cluster archive its WAL to every repository of the policy. Run it on the database's host, "
            "as the server's operating-system user.",
        ),
    ] = False,
    source: SourceName = None,
) -> None:
    """Make a database ready: --admin makes its least-privilege roles, --physical archives its cluster's WAL."""
    if admin is None and not physical:
        raise typer.BadParameter(
            "give --admin CONNECTION for the roles, --physical for the WAL archive, or both", param_hint="--admin"
        )
    desk = desk_of(context)
    chosen = desk.database(system, source)
    if admin is not None:
        _prepare_roles(desk, chosen, admin)
    if physical:
        protection = protect_cluster(desk.workspace, desk.workspace.system(system), chosen)
        say(protection.in_words, "yellow" if protection.needs_restart else "green")
        if protection.needs_restart:
            raise LifeboatError(
                f"{system}/{chosen.name} is not archived yet: restart its server, then run this command again, which "
                "checks that WAL arrives in every repository"
            )


def beat(
    context: typer.Context,
    systems: Annotated[list[str] | None, typer.Argument(help="Only these systems; default all.")] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Write each heartbeat once, and end.")] = False,
) -> None:
    """Write the heartbeats of all protected databases, each as often as its policy says, until told to stop."""
    beating = pulses(desk_of(context).workspace, systems or (), say=lambda text: say(text, "yellow"))
    if not beating:
        raise PolicyError([f"{', '.join(systems or ['no system'])}: no source has a 'physical' block, so none beats"])
    if once:
        for pulse in beating:
            pulse.once()
        if failing := [pulse.failing for pulse in beating if pulse.failing is not None]:
            raise failing[0]
        say(f"{plural(len(beating), 'heartbeat')} written", "green")
        return
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    say(f"beating for {', '.join(pulse.name for pulse in beating)}", "green")
    keep_beating(beating, stop)


def _prepare_roles(desk: Desk, source: PostgresSource, admin: str) -> None:
    server = PostgresServer.from_connection(desk.workspace.connections(admin), database=source.database)
    backup_login = desk.workspace.connections(source.connections.backup)
    restore_login = desk.workspace.connections(source.connections.restore)
    prepared = prepare_database(
        server,
        backup_role=backup_login.login,
        backup_password=backup_login.password,
        restore_role=restore_login.login,
        restore_password=restore_login.password,
    )
    say(f"{server.redacted}: {backup_login.login} reads for backups, {restore_login.login} restores", "green")
    for note in prepared.notes:
        say(note, "yellow")
