"""Sources that are backed up item by item: restored as a copy, compared, and put back with leave."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from include.recovery.catalog.model import CompleteBackup
from include.recovery.cli.desk import Desk, desk_of, run_info, split
from include.recovery.cli.output import bar, put_json, put_table, say
from include.recovery.cli.reading import AsJson, SourceName, StoreName, System, Wish
from include.recovery.content.compare import Change, shown
from include.recovery.content.port import Selection
from include.recovery.errors import NotIdentical, Refused
from include.recovery.evidence.model import Outcome
from include.recovery.evidence.words import listed, moment, plural, size
from include.recovery.fingerprint.model import Comparison
from include.recovery.policy.models import ContentSource, ProtectedSystem, Tier
from include.recovery.sources import content_verbs

_SHOWN = 40
_WHAT = {"missing": "comes back", "unexpected": "goes away", "content": "becomes what it was"}
"""What putting back does to an item that the site lacks, has beyond the backup, or has otherwise."""


def back_up(
    desk: Desk, policy: ProtectedSystem, source: ContentSource, tier: Tier | None, *, note: str | None, hold: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Back such a source up now."""
    verbs = content_verbs(source.kind)
    with bar(f"backing up {source.name}", None, by_content=True) as progress:
        manifest = verbs.backup(
            desk.workspace, policy, source, tier, run=run_info(desk, "backup"), note=note, hold=hold, progress=progress
        )
    if as_json:
        put_json(manifest.summary().model_dump(mode="json"))
    items = manifest.content.items if manifest.content else 0
    holds = f"{plural(items, verbs.kind.unit)}, {size(manifest.source_size)} in {size(manifest.stored_size)}"
    say(f"{manifest.name}: {holds}", "green")
    for left in manifest.left_out:
        say(f"left out: {left.what}: {left.why}", "yellow")


def restore_copy(
    desk: Desk, source: ContentSource, system: str, *, wish: str, store: str, folder: Path, only: tuple[str, ...],
    check: bool,
) -> None:  # fmt: skip
    """Restore a backup into a folder of its own, and compare it there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not empty; name a new folder, nothing is ever restored over what is there")
    backup = desk.pick(system, wish, store, source.name, kind=source.kind)
    folder.parent.mkdir(parents=True, exist_ok=True)
    selection, verbs = Selection(only), content_verbs(source.kind)
    with bar(f"restoring {backup.manifest.id}", None) as progress:
        restored = verbs.restore(
            desk.workspace, backup, folder, store=store, only=selection, run=run_info(desk, "restore"),
            progress=progress,
        )  # fmt: skip
    taken = moment(backup.manifest.snapshot_at)
    say(f"backup {backup.manifest.name} of {taken} is restored: {restored.target}", "green")
    for note in restored.notes:
        say(note, "yellow")
    if check:
        _compare(desk, backup, folder, store, selection)


def prove(desk: Desk, backup: CompleteBackup, store: str, scratch: Path | None) -> None:
    """Restore a backup to a scratch folder, compare it item by item, ask its kind's questions, and remove it."""
    verbs = content_verbs(backup.manifest.kind)
    with tempfile.TemporaryDirectory(prefix="lifeboat-verify-", dir=scratch) as directory:
        copy = Path(directory) / "copy"
        try:
            with bar(f"restoring {backup.manifest.id}", None) as progress:
                verbs.restore(desk.workspace, backup, copy, store=store, progress=progress)
            _compare(desk, backup, copy, store, Selection())
            checks = verbs.validate(desk.workspace, backup, copy, store=store, run=run_info(desk, "verify"))
        finally:
            verbs.discard(copy)
    wrong = [check for check in checks if check.outcome is not Outcome.PASSED]
    for check in checks:
        say(f"{check.name}: {check.found}", "red" if check in wrong else "green")
    if wrong:
        raise NotIdentical(f"{backup.manifest.name}: {listed([check.name for check in wrong])} did not come out right")


def put_back(
    context: typer.Context,
    *,
    system: System,
    wish: Wish = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    only: Annotated[
        str | None, typer.Option(help="Only items whose names begin so; several separated by commas.")
    ] = None,
    leave: Annotated[
        str | None,
        typer.Option(metavar="SYSTEM/SOURCE", help="Do it. Without this, only show what would change."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what would change when a source is put back to a backup; with --leave, do it, keeping aside what is there.

    For files, objects, documents and other sources that are backed up item by item; databases: restore --over-live.
    """
    desk = desk_of(context)
    chosen = desk.source(system, source)
    if not isinstance(chosen, ContentSource):
        raise Refused(f"{system}/{chosen.name} is a database; replace it with `lifeboat restore --over-live`")
    backup = desk.pick(system, wish, store, chosen.name, kind=chosen.kind)
    verbs, selection = content_verbs(chosen.kind), Selection(split(only))
    if leave is None:
        _show(verbs.preview(desk.workspace, backup, only=selection, store=store), system, chosen.name, as_json=as_json)
        return
    with bar(f"putting back {backup.manifest.id}", None) as progress:
        done = verbs.put_back(
            desk.workspace, backup, leave=leave, only=selection, store=store, run=run_info(desk, "put-back"),
            progress=progress,
        )  # fmt: skip
    if as_json:
        put_json({"changed": done.changed, "aside": done.aside, "notes": list(done.notes)})
    say(f"{plural(done.changed, verbs.kind.unit)} put back; what was there is kept: {done.aside}", "green")
    for note in done.notes:
        say(note, "yellow")


def _show(changes: Iterable[Change], system: str, source: str, *, as_json: bool) -> None:
    counted: Counter[str] = Counter()
    first: list[Change] = []
    for change in changes:
        counted[change.how] += 1
        if as_json:
            put_json({"name": change.name, "what": _WHAT[change.how]})
        elif len(first) < _SHOWN:
            first.append(change)
    if as_json:
        return
    if not counted:
        say(f"{system}/{source} holds just what the backup holds: nothing would change", "green")
        return
    put_table(("item", "what would happen"), [(shown(change.name), _WHAT[change.how]) for change in first])
    told = listed([f"{count:,} {'item' if count == 1 else 'items'}: {_WHAT[how]}" for how, count in counted.items()])
    say(f"{told}; do it with --leave {system}/{source}", "yellow")


def _compare(desk: Desk, backup: CompleteBackup, folder: Path, store: str, only: Selection) -> Comparison:
    comparison, _ = content_verbs(backup.manifest.kind).compare(
        desk.workspace, backup, folder, only=only, store=store, run=run_info(desk, "compare")
    )
    for difference in comparison.differences:
        say(difference.message, "red")
    if not comparison.identical:
        raise NotIdentical(f"{backup.manifest.name}: {comparison.verdict}")
    say(comparison.verdict, "green")
    for left in comparison.not_compared:
        say(f"not compared: {left.object}: {left.why}", "yellow")
    return comparison
