"""What exists, against what is protected and proven: all of coverage together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from include.recovery.catalog.model import Backup, ProofLevel
from include.recovery.coverage.buckets import Buckets
from include.recovery.coverage.databases import Databases
from include.recovery.coverage.instances import Instances
from include.recovery.coverage.judge import Held, LiveTable, Proven, excused, judge
from include.recovery.coverage.model import Coverage, Found, SourceCoverage, Unseen
from include.recovery.coverage.port import Discoverer
from include.recovery.coverage.tables import Live, Stored, live_tables, proven_backups
from include.recovery.errors import LifeboatError
from include.recovery.policy.models import PostgresSource, ProtectedSystem, Source

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

WINDOW = timedelta(days=35)
"""How long a proof counts, when nobody says otherwise: a monthly drill, and some days to mend one that failed."""
DISCOVERERS: tuple[Discoverer, ...] = (Databases(), Buckets(), Instances())
"""A new one is a module of this package, and a place here."""


def coverage(
    workspace: Workspace,
    now: datetime,
    *,
    systems: Sequence[str] = (),
    window: timedelta = WINDOW,
    discoverers: Sequence[Discoverer] = DISCOVERERS,
) -> Coverage:
    """Discover everything, and hold it against policies and proofs. What does not answer is named in the result.

    :param systems: report on the sources of these only; empty means all. What exists is always looked for everywhere.
    :param window: how long a proof counts.
    :raises PolicyError: when the platform's policy cannot be used, or a system is not known.
    """
    found, unseen = discovered(workspace, discoverers)
    unseen += [
        Unseen(kind="policy", where=name, why=f"{problems[0]}; what it protects may be named as unprotected here")
        for name, problems in workspace.policies.broken.items()
    ]
    chosen = [workspace.system(name) for name in systems] or list(workspace.policies.systems.values())
    listings: dict[str, list[Backup]] = {}
    for store in workspace.policies.platform.stores:
        try:
            listings[store] = workspace.catalog(store).backups()
        except LifeboatError as error:
            unseen.append(Unseen(kind="store", where=store, why=str(error)))
    sources = []
    for system in chosen:
        for source in system.sources:
            stored = [
                Stored(workspace.catalog(store), [
                    row for row in rows if (row.manifest.system, row.manifest.source) == (system.system, source.name)
                ])
                for store, rows in listings.items()
            ]  # fmt: skip
            sources.append(source_coverage(workspace, system, source, stored, now, window))
    return Coverage(
        at=now, window_seconds=window.total_seconds(), found=tuple(found), unseen=tuple(unseen), sources=tuple(sources)
    )


def discovered(workspace: Workspace, discoverers: Iterable[Discoverer]) -> tuple[list[Found], list[Unseen]]:
    """What exists, with the platform's reasons, and where could not be looked."""
    reasons = workspace.policies.platform.not_protected
    found: list[Found] = []
    unseen: list[Unseen] = []
    for discoverer in discoverers:
        for each in discoverer.discover(workspace):
            if isinstance(each, Unseen):
                unseen.append(each)
            else:
                found.append(excused(each, reasons))
    return found, unseen


def source_coverage(
    workspace: Workspace,
    system: ProtectedSystem,
    source: Source,
    stored: Sequence[Stored],
    now: datetime,
    window: timedelta = WINDOW,
) -> SourceCoverage:
    """How much of a source was restored and verified inside the window. What does not answer is named in the result.

    :param stored: what each store lists of it.
    """
    if not isinstance(source, PostgresSource):
        return facts_of(system, source, stored, now, window)
    try:
        return with_tables(system, source, stored, live_tables(workspace.server(source), source), now, window)
    except LifeboatError as error:
        return facts_of(system, source, stored, now, window).model_copy(update={"problem": str(error)})


def with_tables(
    system: ProtectedSystem,
    source: PostgresSource,
    stored: Sequence[Stored],
    live: Live,
    now: datetime,
    window: timedelta = WINDOW,
) -> SourceCoverage:
    """How much of a database was restored and verified inside the window.

    Only dumps tell which tables were compared. A cluster's drill proves its recovery point, and is not counted here.

    :param live: what the database has now.
    :raises LifeboatError: when a manifest cannot be read.
    """
    facts, newest, held = facts_of(system, source, stored, now, window), _newest(stored, source.kind, now), None
    if newest is not None:
        row, each = newest
        held = Held.of(row.manifest.id, each.catalog.complete(row).manifest.fingerprint)
    proven = list(_enough(proven_backups(stored, source.kind, now, window), live.tables, now - window))
    judged = judge(live.tables, live.schemas, newest=held, proven=proven, now=now, window=window)
    return facts.model_copy(
        update={"tables": judged.tables, "new_schemas": judged.new_schemas, "gone": judged.gone}
    )


def facts_of(
    system: ProtectedSystem, source: Source, stored: Sequence[Stored], now: datetime, window: timedelta
) -> SourceCoverage:
    """What the listings alone tell."""
    proofs = [proof for each in stored for row in each.backups for proof in row.proofs if proof.ok and proof.at <= now]
    restored = max((p.at for p in proofs if p.level.rank >= ProofLevel.RESTORED.rank), default=None)
    proven = max((p.at for p in proofs if p.level is ProofLevel.IDENTICAL), default=None)
    newest = _newest(stored, source.kind, now)
    return SourceCoverage(
        system=system.system, source=source.name, kind=source.kind,
        newest_backup=newest[0].manifest.id if newest else "",
        newest_at=newest[0].manifest.snapshot_at if newest else None,
        restored_at=restored, proven_at=proven, proven_in_window=proven is not None and proven >= now - window,
    )  # fmt: skip


def _newest(stored: Sequence[Stored], kind: str, now: datetime) -> tuple[Backup, Stored] | None:
    usable = [
        (row, each)
        for each in stored
        for row in each.backups
        if row.manifest.kind == kind and not row.damaged and row.manifest.snapshot_at <= now
    ]
    return max(usable, key=lambda pair: (pair[0].manifest.snapshot_at, pair[0].manifest.id), default=None)


def _enough(proven: Iterable[Proven], tables: Sequence[LiveTable], since: datetime) -> Iterator[Proven]:
    """As many as it takes to know every table's last proof; usually the first has them all."""
    missing = {table.name for table in tables if not table.why_not}
    for each in proven:
        yield each
        if each.at >= since:
            missing -= set(each.held.rows)
            if not missing:
                return
