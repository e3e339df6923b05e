"""Removes what the plan lets go: dependants first, only what is sure, and on from where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from include.recovery.catalog import in_use
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.layout import MANIFEST
from include.recovery.catalog.lease import Clock as Now
from include.recovery.catalog.lease import Lease, Owner, utc_now
from include.recovery.catalog.model import Backup
from include.recovery.errors import LifeboatError, ObjectLocked, Refused, Unavailable
from include.recovery.evidence.words import listed
from include.recovery.policy.models import ProtectedSystem
from include.recovery.retention import records
from include.recovery.retention.gather import SourcePlan, decide
from include.recovery.retention.model import Clock, Decision
from include.recovery.retention.records import Done, RunRecord
from include.recovery.sources import RunInfo, verbs

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

_LEASE_TTL = timedelta(minutes=10)
_LOOKS_AT_ONCE = 8


class RetentionFailed(LifeboatError):
    """Something that should have gone is still there, or could not be decided.

    :param failures: one sentence each.
    """

    def __init__(self, what: str, failures: Sequence[str]) -> None:
        self.failures = tuple(failures)
        super().__init__(f"{what}: {'; '.join(self.failures)}")


def require_done(made: Sequence[RunRecord], what: str) -> None:
    """Raise when a run did not do all that it should have.

    :raises Refused: when all that stands in the way is a refusal, so that nothing was touched.
    :raises RetentionFailed: naming everything that went wrong.
    """
    failures = [f"{record.source} in {record.store}: {failure}" for record in made for failure in record.failures]
    if failures and all(record.refusal for record in made if record.failures):
        raise Refused(f"{what}: {'; '.join(failures)}")
    if failures:
        raise RetentionFailed(what, failures)


def carry_out(
    workspace: Workspace,
    system: ProtectedSystem,
    source: str,
    store: str,
    *,
    run: RunInfo,
    only: Collection[str] | None = None,
    now: Now = utc_now,
) -> RunRecord:
    """Plan anew, and remove what the plan lets go. Alone: a second run on the same source and store is refused.

    :param only: names of the backups that were shown to go; what was not shown is left for the next run. None: all.
    :return: the record, which is also left in the store. Failures are in it, each a sentence.
    :raises LeaseHeld: when another run does the same.
    :raises StoreUnavailable: before anything was decided; what was begun is resumed by the next run.
    """
    catalog = workspace.catalog(store)
    place = f"{system.system}/retention/{store}/{source}/"
    owner = Owner.of_this_process(run.run_id, run.try_number, run.url)
    with Lease.acquire(catalog.store, f"{place}leases/expire/", owner, writing=place, ttl=_LEASE_TTL, now=now) as lease:
        clock = Clock(
            now(),
            records.time_of(catalog.store, system.system, source),
            records.last_run(catalog.store, system.system, source),
        )
        job = _Job(workspace, system, source, store, run, catalog, lease, clock.now)
        job.resume()
        decided = decide(workspace, system, source, store, clock)
        refusal = decided.plan.refusal or job.refusal(decided)
        if refusal is None:
            job.remove(decided, only)
            job.keep_log(decided)
            for kind in {backup.manifest.kind for backup in decided.backups.values()}:
                in_use.clear(catalog.store, system.system, source, kind, clock.now)
        record = RunRecord(
            system=system.system,
            source=source,
            store=store,
            at=clock.now,
            by=run.started_by,
            refusal=refusal,
            kept=len(decided.plan.kept),
            done=tuple(job.done),
            notes=decided.plan.notes,
            problems=tuple(job.problems),
            wal=decided.plan.wal.why,
        )
        records.leave(catalog.store, record)
    return record


@dataclass
class _Job:
    """One run on one source in one store."""

    workspace: Workspace
    system: ProtectedSystem
    source: str
    store: str
    run: RunInfo
    catalog: Catalog
    lease: Lease
    now: datetime
    done: list[Done] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def resume(self) -> None:
        """Go on with removals that an earlier run has begun."""
        remover = self.catalog.remover(self.workspace.deleter(self.store))
        for prefix, mark in self.catalog.going(f"{self.system.system}/{self.source}/").items():
            if mark.whole:
                continue
            try:
                removed = remover.resume(prefix, mark)
            except ObjectLocked as error:
                self.problems.append(_may_not_delete(self.store, error))
                continue
            if removed is not None:
                name = prefix.rstrip("/")
                self.done.append(Done(
                    backup=name, why=mark.why, outcome=removed.outcome.value, detail=f"resumed: {removed.sentence}",
                    freed=removed.bytes,
                ))  # fmt: skip

    def refusal(self, decided: SourcePlan) -> str | None:
        """Why nothing may go although the plan says so: what it leans on must really be there.

        The index is a cache. Were it to list a backup that is gone, a plan might keep that one and let real ones go.
        """
        if not decided.plan.expired:
            return None
        kept = [decided.backups[decision.row.key] for decision in decided.plan.kept]
        with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="retention") as pool:
            there = list(pool.map(self._is_there, kept))
        missing = [backup.manifest.id for backup, found in zip(kept, there, strict=True) if not found]
        if not missing:
            return None
        return (
            f"the index of store {self.store} lists backups that are not there: {listed(missing)}; nothing is removed "
            f"on its word; bring it up to date with: lifeboat sweep --store {self.store}"
        )

    def remove(self, decided: SourcePlan, only: Collection[str] | None) -> None:
        """Remove what the plan lets go; dependants come first, and one that stays keeps what it needs."""
        staying: dict[str, str] = {}
        unavailable: Unavailable | None = None
        for decision in decided.plan.expired:
            backup = decided.backups[decision.row.key]
            if only is not None and backup.manifest.name not in only:
                self._stays(decision, staying, "waiting", "it was not in the plan that was shown; the next run")
            elif decision.row.key in staying:
                dependant = staying[decision.row.key]
                self._stays(decision, staying, "waiting", f"{dependant}, which needs it, is still there")
            elif unavailable is not None:
                self._stays(decision, staying, "failed", f"not tried any more: {unavailable}")
            else:
                self.lease.check()
                unavailable = self._expire(decision, backup, staying)

    def keep_log(self, decided: SourcePlan) -> None:
        """Tell the archive which write-ahead log stays; only where there are physical backups."""
        kinds = dict.fromkeys(decision.row.kind for decision in decided.plan.decisions if decision.row.wal is not None)
        for kind in kinds:
            if decided.plan.wal.everything:
                continue
            try:
                verbs(kind).expire_wal(
                    self.workspace, self.system, decided.source, decided.plan.wal, decided.backups, store=self.store,
                    run=self.run,
                )  # fmt: skip
            except LifeboatError as error:
                self.problems.append(f"the write-ahead log could not be expired: {error}")

    def _expire(self, decision: Decision, backup: Backup, staying: dict[str, str]) -> Unavailable | None:
        """Remove one backup, and note what became of it.

        :return: what shows that the store does not answer any more.
        """
        facts = backup.manifest
        try:
            removed = verbs(facts.kind).expire(
                self.workspace, backup, why=decision.why, store=self.store, run=self.run
            )
        except ObjectLocked as error:
            self._stays(decision, staying, "failed", _may_not_delete(self.store, error))
        except LifeboatError as error:
            self._stays(decision, staying, "failed", str(error))
            return error if isinstance(error, Unavailable) else None
        else:
            if not removed.gone:
                self._stays(decision, staying, removed.outcome.value, removed.sentence)
            else:
                self.done.append(Done(
                    backup=facts.name, why=decision.why, outcome=removed.outcome.value, detail=removed.sentence,
                    freed=removed.bytes,
                ))  # fmt: skip
        return None

    def _stays(self, decision: Decision, staying: dict[str, str], outcome: str, detail: str) -> None:
        row = decision.row
        if row.parent_key is not None:
            staying[row.parent_key] = row.id
        name = f"{self.system.system}/{self.source}/{row.key}"
        fields = {"backup": name, "why": decision.why, "outcome": outcome, "detail": detail}
        self.done.append(Done.model_validate(fields))

    def _is_there(self, backup: Backup) -> bool:
        key = backup.manifest.prefix + MANIFEST
        return any(version.key == key and not version.marker for version in self.catalog.store.versions(key))


def _may_not_delete(store: str, error: ObjectLocked) -> str:
    return (
        f"store {store} refuses although no lock is left; give its policy an expiry_connection whose user may delete "
        f"versions: {error}"
    )
