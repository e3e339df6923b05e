"""list, show, status, evidence: look, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from include.recovery.catalog.index import Going
from include.recovery.catalog.model import Backup, CompleteBackup, Manifest, Summary
from include.recovery.catalog.removal import until_words
from include.recovery.cli.desk import Desk, desk_of
from include.recovery.cli.output import good_or_bad, level_text, out, put_facts, put_json, put_table, say
from include.recovery.errors import LifeboatError
from include.recovery.evidence.chain import verify as verify_chain
from include.recovery.evidence.signing import Verifier
from include.recovery.evidence.summary import SystemSummary, summarise
from include.recovery.evidence.verdict import ProofFailed
from include.recovery.evidence.words import duration, moment, plural, size

System = Annotated[str, typer.Argument(help="Name of the system, such as labdojo.")]
Wish = Annotated[
    str,
    typer.Argument(
        help="Which backup: its id, 'newest', 'newest identical', 'newest before 2026-11-21T08:00+01:00' ...",
    ),
]
SourceName = Annotated[str | None, typer.Option("--source", help="Name of the source, when the system has several.")]
StoreName = Annotated[str, typer.Option("--store", help="Which store to read: primary, offsite ...")]
Kind = Annotated[
    str | None,
    typer.Option("--kind", help="postgres (a dump) or pgbackrest (the cluster); default: the dumps, where there are."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def list_backups(
    context: typer.Context,
    *,
    system: Annotated[str | None, typer.Argument(help="Only this system.")] = None,
    source: SourceName = None,
    store: StoreName = "primary",
    as_json: AsJson = False,
) -> None:
    """List the backups of a store, newest last, with how far each is proven."""
    desk = desk_of(context)
    catalog = desk.catalog(store)
    backups = catalog.backups(system, source)
    unusable = catalog.problems()
    if as_json:
        put_json({"backups": [_row_json(backup) for backup in backups], "unusable": unusable})
        return
    now = desk.now()
    going = catalog.going()
    zones = {name: policy.time_zone for name, policy in desk.workspace.policies.systems.items()}
    put_table(
        ("system", "source", "backup", "of", "age", "tier", "proof", "holds", "stored", "note"),
        [
            (
                b.manifest.system,
                b.manifest.source,
                b.manifest.id,
                moment(b.manifest.snapshot_at, zones.get(b.manifest.system, "UTC")),
                duration(now - b.manifest.snapshot_at),
                b.manifest.tier or "by hand",
                level_text(b.level, damaged=b.damaged),
                _holds(b.manifest),
                size(b.manifest.stored_size),
                _remarks(b, going.get(b.manifest.prefix)),
            )
            for b in backups
        ],
    )
    if not backups:
        say(f"store {store} has no backups" + (f" of {system}" if system else ""), "yellow")
    for name, why in unusable.items():
        say(f"{name} cannot be used: {why}", "red")


def show(
    context: typer.Context,
    *,
    system: System,
    wish: Wish = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    kind: Kind = None,
    as_json: AsJson = False,
) -> None:
    """Show one backup: what it holds, what was left out, and everything that was proven about it."""
    desk = desk_of(context)
    backup = desk.pick(system, wish, store, source, kind=kind)
    if as_json:
        put_json(_backup_json(backup))
        return
    known = desk.workspace.policies.systems.get(system)
    zone = known.time_zone if known else "UTC"
    manifest = backup.manifest
    versions = ", ".join(f"{name} {version}" for name, version in manifest.tool_versions.items())
    facts: dict[str, str | Text] = {
        "backup": manifest.name,
        "store": backup.store or store,
        "proof": level_text(backup.level, damaged=backup.damaged),
        "snapshot": f"{moment(manifest.snapshot_at, zone)}, {duration(desk.now() - manifest.snapshot_at)} ago",
        "taken": f"in {duration(manifest.finished_at - manifest.started_at)} by {manifest.started_by}",
        "tier": manifest.tier or "by hand",
        "holds": _contents(manifest),
        "stored": _stored(manifest),
        "tools": versions,
        "fingerprint": _fingerprint(manifest),
        "remarks": _remarks(backup) or "none",
    }
    put_facts(facts)
    for left in manifest.left_out:
        say(f"left out: {left.what}: {left.why}", "yellow")
    out().print()
    if manifest.parts:
        _put_parts(manifest)
    put_table(
        ("proof", "when", "store", "by", "what"),
        [
            (
                good_or_bad(proof.level.value + ("" if proof.ok else " FAILED"), proof.ok),
                moment(proof.at, zone),
                proof.store,
                proof.by,
                proof.detail,
            )
            for proof in backup.proofs
        ],
    )


def _holds(facts: Summary | Manifest) -> str:
    if facts.physical:
        return "cluster"
    return plural(facts.items, "item") if facts.items else plural(facts.tables, "table")


def _contents(manifest: Manifest) -> str:
    if manifest.content is not None:
        server = f", {manifest.kind} {manifest.server_version}" if manifest.server_version else ""
        return f"{plural(manifest.content.items, 'item')}, {size(manifest.source_size)}{server}"
    return f"{_databases(manifest)}, {size(manifest.source_size)}, PostgreSQL {manifest.server_version}"


def _fingerprint(manifest: Manifest) -> str:
    if manifest.content is not None:
        return f"{plural(manifest.content.items, 'item')}, {manifest.content.sha512[:16]}"
    found = manifest.fingerprint
    return "none" if found is None else f"{plural(len(found.tables), 'table')}, {plural(found.rows, 'row')}"


def _databases(manifest: Manifest) -> str:
    return ", ".join(manifest.physical.databases) if manifest.physical else manifest.database or "none"


def _stored(manifest: Manifest) -> str:
    held, physical = size(manifest.stored_size), manifest.physical
    if physical is None:
        parts = plural(len(manifest.parts), "part")
        return f"{held} in {parts}, {manifest.compression}, {manifest.encryption.algorithm}"
    on = f", stands on {', '.join(physical.reference)}" if physical.reference else ""
    return (
        f"{held} in repository {physical.repository} as {physical.label} ({physical.type}{on}), "
        f"{manifest.compression}; WAL {physical.wal_start} to {physical.wal_stop} makes it consistent"
    )


def _put_parts(manifest: Manifest) -> None:
    put_table(
        ("part", "holds", "tables", "content", "stored"),
        [
            (
                part.name,
                part.role,
                ", ".join(part.tables[:3]) + (f" and {len(part.tables) - 3} more" if len(part.tables) > 3 else ""),
                size(part.content_size),
                size(sum(volume.size for volume in part.volumes)),
            )
            for part in manifest.parts
        ],
    )
    out().print()


def status(
    context: typer.Context,
    *,
    systems: Annotated[list[str] | None, typer.Argument(help="Only these systems.")] = None,
    as_json: AsJson = False,
) -> None:
    """One row for each system: recoverable point against RPO, last proof, measured restore against RTO, copies."""
    desk = desk_of(context)
    policies = desk.workspace.policies
    rows = [summarise(desk.workspace, name, desk.now()) for name in systems or policies.systems]
    if as_json:
        put_json([_summary_json(row) for row in rows])
    else:
        put_status(rows)
    for problem in [problem for row in rows for problem in row.problems]:
        say(problem, "red")
    for problem in policies.problems:
        say(problem, "red")


def put_status(rows: list[SystemSummary]) -> None:
    """The table of systems, which the demo prints too."""
    cells = [row.cells() for row in rows]
    good = [
        {
            "recoverable point": row.rpo_met,
            "recovery last proven": True if row.proven_at else None,
            "measured restore": row.rto_met,
            "copies": row.copies >= max(1, row.copies_wanted),
        }
        for row in rows
    ]
    put_table(
        list(cells[0]) if cells else ["system"],
        [
            [good_or_bad(text, marks[name]) if name in marks else text for name, text in row.items()]
            for row, marks in zip(cells, good, strict=True)
        ],
    )


def evidence(
    context: typer.Context,
    *,
    system: System,
    store: StoreName = "primary",
    public_key: Annotated[
        list[Path] | None,
        typer.Option("--public-key", help="PEM of a public signing key; without it the policy's signing key is used."),
    ] = None,
) -> None:
    """Verify the chain of evidence: no report was changed, removed or slipped in since it was written."""
    desk = desk_of(context)
    verifier = _verifier(desk, public_key or [])
    found = verify_chain(desk.workspace.store(store), verifier, system)
    if found.problems:
        raise ProofFailed(f"chain of evidence of {system} in store {store}", found.problems)
    say(f"{system}: {plural(found.links, 'link')} of evidence in store {store}, every one as it was written", "green")


def _verifier(desk: Desk, paths: list[Path]) -> Verifier:
    if not paths:
        return desk.workspace.signer().verifier
    try:
        return Verifier.from_pems([path.read_text(encoding="utf-8") for path in paths])
    except OSError as error:
        raise LifeboatError(f"--public-key {error.filename} cannot be read: {error.strerror}") from None


def _remarks(backup: Backup, going: Going | None = None) -> str:
    hold = ["held"] if backup.manifest.hold else []
    note = [backup.manifest.note] if backup.manifest.note else []
    expired = [f"expired, waits {until_words(going.locked_until)}"] if going else []
    return ", ".join([*hold, *note, *expired])


def _row_json(backup: Backup) -> dict[str, Any]:
    return backup.manifest.model_dump(mode="json") | _standing(backup)


def _backup_json(backup: CompleteBackup) -> dict[str, Any]:
    return _row_json(backup) | {"proofs": [proof.model_dump(mode="json") for proof in backup.proofs]}


def _standing(backup: Backup) -> dict[str, Any]:
    return {
        "store": backup.store,
        "level": backup.level.value,
        "damaged": backup.damaged,
        "proven_at": backup.proven_at.isoformat() if backup.proven_at else None,
    }


def _summary_json(row: SystemSummary) -> dict[str, Any]:
    return row.model_dump(mode="json") | {
        "age_seconds": row.age_seconds,
        "rpo_seconds": row.rpo_seconds,
        "rpo_met": row.rpo_met,
        "rto_met": row.rto_met,
        "copies": row.copies,
        "copies_wanted": row.copies_wanted,
        "ready": row.ready,
    }
