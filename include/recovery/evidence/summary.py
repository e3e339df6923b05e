"""One row per system: how old the newest recoverable point is, how recovery was last proven, how long it takes, and
how many copies there are. Counted from what the stores really hold, archived WAL included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.looks import newest_look
from include.recovery.catalog.model import Backup, ProofLevel
from include.recovery.errors import LifeboatError
from include.recovery.evidence.history import (
    AnyReport,
    expected_duration,
    last_proven,
    median_restore_seconds,
    read_reports,
)
from include.recovery.evidence.records import Instant, Record
from include.recovery.evidence.words import duration, listed, moment
from include.recovery.pgbackrest.recoverable import recoverable_until
from include.recovery.policy.models import PRIMARY, ProtectedSystem, Source
from include.recovery.policy.source_kinds.rds import RdsSource

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

WHOLE: Final = "database_corruption"
"""The scenario whose objective the measured time is held against, where the policy has it."""


class Copy(Record):
    """The copy of a backup in one store.

    :param complete: whether the store has every volume in the size that the manifest names.
    """

    store: str
    level: ProofLevel
    complete: bool


class SourceSummary(Record):
    """One source.

    :param backup: id of the newest undamaged backup; None when there is none.
    :param recoverable_at: the newest moment that can be recovered: of a backup, or of the WAL that rolls one forward.
    :param recoverable_by: how, in words.
    :param proven_at: when a backup was last restored and found identical; of a managed service's snapshots, whose rows
        nobody fingerprinted, when one was last restored and questioned.
    :param copies: of that backup, one for each store that has it.
    :param stores_wanted: where the policy wants it.
    """

    source: str
    kind: str
    rpo_seconds: float
    rpo_assumed: bool = False
    backup: str | None = None
    tier: str | None = None
    snapshot_at: Instant | None = None
    recoverable_at: Instant | None = None
    recoverable_by: str = ""
    age_seconds: float | None = None
    level: ProofLevel | None = None
    proven_at: Instant | None = None
    proven_by: str = ""
    copies: tuple[Copy, ...] = ()
    stores_wanted: tuple[str, ...] = ()

    @property
    def rpo_met(self) -> bool:
        """Whether the newest recoverable point is young enough."""
        return self.age_seconds is not None and self.age_seconds <= self.rpo_seconds

    @property
    def copies_held(self) -> int:
        """How many stores hold a complete copy."""
        return sum(1 for copy in self.copies if copy.complete)


class SystemSummary(Record):
    """One system. What is worst among its sources stands for the whole.

    :param proven_how: such as ``weekly drill``; empty when recovery was never proven.
    :param restore_seconds: the measured time to recover, and ``restore_basis`` says what was measured.
    :param problems: one sentence for each thing that could not be looked at.
    """

    system: str
    title: str
    time_zone: str
    at: Instant
    sources: tuple[SourceSummary, ...]
    proven_at: Instant | None = None
    proven_how: str = ""
    restore_seconds: float | None = None
    restore_basis: str = ""
    rto_seconds: float
    rto_assumed: bool = False
    problems: tuple[str, ...] = ()

    @property
    def worst(self) -> SourceSummary:
        """The source that is nearest to its RPO, or furthest beyond it; one without a recoverable point before all."""

        def share_of_rpo(source: SourceSummary) -> float:
            return math.inf if source.age_seconds is None else source.age_seconds / max(source.rpo_seconds, 1.0)

        return max(self.sources, key=share_of_rpo)

    @property
    def age_seconds(self) -> float | None:
        """Age of the newest recoverable point of the worst source; None when it has none."""
        return self.worst.age_seconds

    @property
    def rpo_seconds(self) -> float:
        """The objective of the worst source."""
        return self.worst.rpo_seconds

    @property
    def rpo_met(self) -> bool:
        """Whether every source meets its objective."""
        return all(source.rpo_met for source in self.sources)

    @property
    def rto_met(self) -> bool | None:
        """None when recovery was never measured."""
        return None if self.restore_seconds is None else self.restore_seconds <= self.rto_seconds

    @property
    def copies(self) -> int:
        """Complete copies of the newest recoverable point, of the source that has fewest."""
        return min((source.copies_held for source in self.sources), default=0)

    @property
    def copies_wanted(self) -> int:
        """How many the policy wants."""
        return max((len(source.stores_wanted) for source in self.sources), default=0)

    @property
    def ready(self) -> bool:
        """Whether there is nothing to worry about: objectives met, recovery proven, copies complete."""
        enough = all(source.copies_held >= len(source.stores_wanted) for source in self.sources)
        return self.rpo_met and self.rto_met is True and self.proven_at is not None and enough and not self.problems

    def cells(self) -> dict[str, str]:
        """The row of the table, as words: what the command line and the demo print."""
        assumed = " (assumed)"
        age = "no recoverable point" if self.age_seconds is None else duration(self.age_seconds)
        rpo_assumed = self.worst.rpo_assumed
        proven = f"{moment(self.proven_at, self.time_zone)}, {self.proven_how}" if self.proven_at else "never"
        return {
            "system": self.system,
            "recoverable point": f"{age} old" if self.age_seconds is not None else age,
            "RPO": duration(self.rpo_seconds) + (assumed if rpo_assumed else ""),
            "recovery last proven": proven,
            "measured restore": "never measured" if self.restore_seconds is None else duration(self.restore_seconds),
            "RTO": duration(self.rto_seconds) + (assumed if self.rto_assumed else ""),
            "copies": f"{self.copies} of {self.copies_wanted}",
        }


def summarise(workspace: Workspace, system: str, now: datetime) -> SystemSummary:
    """Look at the stores and the evidence of one system. What does not answer becomes a problem, not an error.

    :raises PolicyError: when the system is not known.
    """
    policy = workspace.system(system)
    problems: list[str] = []
    catalogs: dict[str, Catalog] = {}
    held: dict[str, list[Backup]] = {}
    for store in workspace.policies.platform.stores:
        try:
            catalogs[store] = workspace.catalog(store)
            held[store] = catalogs[store].backups(system)
        except LifeboatError as error:
            problems.append(str(error))
    history = _history(catalogs.values(), system, problems)
    sources = tuple(_source(workspace, policy, source, catalogs, held, now, problems) for source in policy.sources)
    proven_at, proven_how = _proven(sources, history)
    seconds, basis = expected_duration(history, WHOLE)
    if seconds is None:
        seconds, basis = median_restore_seconds(history), "median of all measured restores"
    scenario = policy.scenarios.get(WHOLE)
    objectives = [policy.objective(source) for source in policy.sources]
    strictest = min(objectives, key=lambda objective: objective.rto)
    return SystemSummary(
        system=system,
        title=policy.title,
        time_zone=policy.time_zone,
        at=now,
        sources=sources,
        proven_at=proven_at,
        proven_how=proven_how,
        restore_seconds=seconds,
        restore_basis=basis if seconds is not None else "",
        rto_seconds=(scenario.rto if scenario else strictest.rto).total_seconds(),
        rto_assumed="rto" in (scenario.assumed if scenario else strictest.assumed),
        problems=tuple(problems),
    )


def _source(  # noqa: PLR0917 - what was looked at once for all sources
    workspace: Workspace,
    policy: ProtectedSystem,
    source: Source,
    catalogs: dict[str, Catalog],
    held: dict[str, list[Backup]],
    now: datetime,
    problems: list[str],
) -> SourceSummary:
    own = {store: [b for b in backups if b.manifest.source == source.name] for store, backups in held.items()}
    usable = [b for backups in own.values() for b in backups if not b.damaged and b.manifest.snapshot_at <= now]
    newest = max(usable, key=lambda b: (b.manifest.snapshot_at, b.manifest.id), default=None)
    objective = policy.objective(source)
    proofs = [p for backups in own.values() for b in backups for p in b.proofs]
    needed = ProofLevel.RESTORED if isinstance(source, RdsSource) else ProofLevel.IDENTICAL
    enough = [p for p in proofs if p.ok and p.level.rank >= needed.rank]
    last = max(enough, key=lambda proof: proof.at, default=None)
    common = {
        "source": source.name,
        "kind": source.kind,
        "rpo_seconds": objective.rpo.total_seconds(),
        "rpo_assumed": "rpo" in objective.assumed,
        "proven_at": last.at if last else None,
        "proven_by": last.by if last else "",
    }
    if newest is None:
        return SourceSummary.model_validate(common)
    facts = newest.manifest
    recoverable_at, recoverable_by = _recoverable(workspace, policy, source, own, newest, now, problems)
    copies = []
    for store, backups in own.items():
        if facts.physical is not None:
            copies += _copy_of_cluster(store, backups)
            continue
        row = next((b for b in backups if (b.manifest.kind, b.manifest.id) == (facts.kind, facts.id)), None)
        if row is not None:
            copies.append(_copy(catalogs[store], row, problems))
    tier = next((tier for tier in policy.tiers if tier.name == facts.tier), None)
    return SourceSummary.model_validate(
        common
        | {
            "backup": facts.id,
            "tier": facts.tier,
            "snapshot_at": facts.snapshot_at,
            "recoverable_at": recoverable_at,
            "recoverable_by": recoverable_by,
            "age_seconds": max(timedelta(), now - recoverable_at).total_seconds(),
            "level": newest.level,
            "copies": tuple(copies),
            "stores_wanted": tier.stores if tier else tuple(dict.fromkeys(s for t in policy.tiers for s in t.stores)),
        }
    )


def _recoverable(  # noqa: PLR0917 - as above
    workspace: Workspace,
    policy: ProtectedSystem,
    source: Source,
    own: dict[str, list[Backup]],
    newest: Backup,
    now: datetime,
    problems: list[str],
) -> tuple[datetime, str]:
    """The newest moment that can be recovered from some store, and how: a backup's own, or that of the archived WAL.

    The archive is looked at, for nobody knows otherwise whether WAL arrives, and without a hole.
    """
    best = newest.manifest.snapshot_at, f"backup {newest.manifest.id}"
    for tier in (each for each in policy.tiers_of(source) if each.only_when_changed):
        try:
            look = newest_look(workspace.store(PRIMARY), policy.system, source.name, tier.name)
        except LifeboatError:
            continue  # that the store does not answer was told when its backups were listed
        if look is not None and look.backup == newest.manifest.id and look.at <= now:
            best = max(best, (look.at, f"backup {look.backup}, which the source has held unchanged until then"))
    for store, backups in own.items():
        bases = [b for b in backups if b.manifest.physical and not b.damaged and b.manifest.snapshot_at <= now]
        if source.wal is None or not bases or store not in policy.repository_stores(source):
            continue
        try:
            found = recoverable_until(workspace, policy, source, store, bases, now)
        except LifeboatError as error:
            problems.append(str(error))
            continue
        if found.stopped_by is not None:
            problems.append(
                f"{policy.system}/{source.name}: WAL segment {found.stopped_by} in store {store} is missing or unfit, "
                "and nothing behind it can be recovered; take a full backup"
            )
        best = max(best, (found.at, f"WAL in store {store}, from backup {found.backup.manifest.id}"))
    return best


def _copy(catalog: Catalog, row: Backup, problems: list[str]) -> Copy:
    """Whether every volume is there in its size; the bytes themselves are for ``verify``."""
    store = catalog.store
    name = row.manifest.name
    try:
        manifest = catalog.complete(row).manifest
        sizes = {info.key: info.size for info in store.list(f"{manifest.prefix}parts/")}
    except LifeboatError as error:
        problems.append(str(error))
        return Copy(store=store.name, level=row.level, complete=False)
    missing = [
        volume.key for part in manifest.parts for volume in part.volumes if sizes.get(volume.key) != volume.size
    ]
    if missing:
        short = listed([key.removeprefix(manifest.prefix) for key in missing], most=3)
        problems.append(f"store {store.name}: backup {name} lacks {short}")
    return Copy(store=store.name, level=row.level, complete=not missing and not row.damaged)


def _copy_of_cluster(store: str, backups: Sequence[Backup]) -> list[Copy]:
    """The newest undamaged backup of the cluster in a store's repository, for each store has backups of its own.

    It has no parts that could be counted. So it is complete when all that it stands on is listed and undamaged, and the
    full backup at its beginning was read back or restored here.
    """
    sound = {b.manifest.id: b for b in backups if b.manifest.physical is not None and not b.damaged}
    newest = max(sound.values(), key=lambda b: (b.manifest.snapshot_at, b.manifest.id), default=None)
    if newest is None:
        return []
    root: Backup | None = newest
    for _ in sound:
        if root is not None and root.manifest.parent is not None:
            root = sound.get(root.manifest.parent)
    read = root is not None and any(proof.ok and proof.store == store for proof in root.proofs)
    return [Copy(store=store, level=newest.level, complete=read)]


def _history(catalogs: Iterable[Catalog], system: str, problems: list[str]) -> Sequence[AnyReport]:
    """The evidence of the first store that has some."""
    for catalog in catalogs:
        try:
            found = read_reports(catalog.store, system)
        except LifeboatError as error:
            problems.append(str(error))
            continue
        if found:
            return found
    return ()


def _proven(sources: Sequence[SourceSummary], history: Sequence[AnyReport]) -> tuple[datetime | None, str]:
    """When recovery of every source was last proven, and by what."""
    times = [source.proven_at for source in sources if source.proven_at is not None]
    if len(times) < len(sources):
        return None, ""
    oldest = min(sources, key=lambda source: source.proven_at or times[0])
    report = last_proven(history)
    if report is not None and report.started_at <= min(times) <= report.finished_at + timedelta(minutes=10):
        return report.finished_at, report.name
    return oldest.proven_at, oldest.proven_by
