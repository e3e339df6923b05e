"""The commands together, the global options, and errors as one sentence and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from include.recovery import errors
from include.recovery.cli import (
    contents,
    covering,
    pointing,
    protecting,
    proving,
    reading,
    replacing,
    restoring,
    retention,
    sets,
    watching,
    working,
)
from include.recovery.cli.desk import URL_FORMS, Desk
from include.recovery.cli.output import say
from include.recovery.evidence.verdict import ProofFailed

EXIT_CODES: tuple[tuple[int, str, tuple[type[BaseException], ...]], ...] = (
    (3, "a proof failed: something is damaged, missing or not identical", (
        errors.BackupCorrupt, errors.NotIdentical, ProofFailed,
    )),
    (4, "refused: nothing was touched", (errors.Refused, errors.LeaseHeld, errors.LeaseLost)),
    (5, "something does not answer: trying again may help", (errors.Unavailable,)),
    (6, "no backup fits", (errors.BackupNotFound,)),
    (7, "the key cannot be had", (errors.KeyUnavailable,)),
    (8, "a policy or connection is wrong or missing", (errors.PolicyError,)),
    (1, "anything else went wrong", (errors.LifeboatError,)),
)  # fmt: skip
"""The first that fits counts. 0 means that all is well, 2 that the command was called wrongly."""

_MEANINGS = "; ".join(f"{code} {what}" for code, what, _ in EXIT_CODES)
_EPILOG = f"Exit codes: 0 all is well; 2 wrong usage; {_MEANINGS}."


class OneSentence(TyperGroup):
    """Every error on purpose ends in one sentence on standard error and an exit code of its own."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except errors.LifeboatError as error:
            say(f"lifeboat: {error}", "red")
            raise typer.Exit(exit_code(error)) from None


app = typer.Typer(
    name="lifeboat",
    cls=OneSentence,
    help="Backups that are proven to be the data, and recovery that is rehearsed before it is needed.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    context: typer.Context,
    policies: Annotated[
        Path | None,
        typer.Option(help="Folder of the policies; default LIFEBOAT_POLICIES, else the ones that are installed."),
    ] = None,
    connections: Annotated[
        Path | None,
        typer.Option(help="JSON file of connections; default LIFEBOAT_CONNECTIONS."),
    ] = None,
    store_url: Annotated[
        str | None,
        typer.Option(help=f"Use this store, without any policy: {URL_FORMS}."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Private escrow key (PEM) instead of the KMS; its password in LIFEBOAT_KEY_PASSWORD."),
    ] = None,
) -> None:
    """Options that come before the command."""
    if context.obj is None:
        context.obj = Desk(policies, connections, store_url, key)


app.command("list")(reading.list_backups)
app.command("points")(pointing.points)
app.command("show")(reading.show)
app.command("status")(reading.status)
app.command("verify")(proving.verify)
app.command("compare")(proving.compare)
app.command("evidence")(reading.evidence)
app.command("backup")(working.backup)
app.command("restore")(restoring.restore)
app.command("put-back")(contents.put_back)
app.command("coverage")(covering.coverage)
app.command("export")(covering.export)
app.command("set")(sets.bind)
app.command("show-set")(sets.show)
app.command("prepare")(protecting.prepare)
app.command("point")(pointing.point)
app.command("beat")(protecting.beat)
app.command("watch")(watching.watch)
app.command("standby")(watching.standby)
app.command("retention")(retention.retention)
app.command("sweep")(working.sweep)
app.command("reopen")(working.reopen)
app.command("replace-cluster")(replacing.replace_cluster)


def exit_code(error: errors.LifeboatError) -> int:
    """The exit code of an error."""
    return next(code for code, _, kinds in EXIT_CODES if isinstance(error, kinds))


def main() -> None:
    """The console script."""
    app(prog_name="lifeboat")
