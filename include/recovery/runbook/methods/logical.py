"""A dump, restored beside the live database and compared with the fingerprint of its own snapshot."""

from __future__ import annotations

from include.recovery.catalog.model import CompleteBackup
from include.recovery.evidence.model import Check
from include.recovery.evidence.words import plural
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.facts import target_facts
from include.recovery.runbook.assess import assess
from include.recovery.runbook.methods.port import Compared, Job, Loaded, RecoveryMethod, Wanted
from include.recovery.runbook.planning import Choice
from include.recovery.runbook.staging import drop_staging
from include.recovery.sources import verbs


class Logical:
    """See ``RecoveryMethod``."""

    def concerns(self, source: PostgresSource) -> bool:
        """Every source has dumps."""
        return source.kind == "postgres"

    def choose(self, wanted: Wanted) -> Choice:
        system, source = wanted.system, wanted.source
        catalog = wanted.workspace.catalog()
        assessment = assess(
            catalog.backups(system=system.system, source=source.name, kind=source.kind),
            system=system.system,
            source=source.name,
            now=wanted.now(),
            rpo_seconds=system.rpo(source).total_seconds(),
        )
        wanted.tell(assessment.in_words(system.time_zone))
        backup = catalog.pick(system.system, source.name, source.kind, wanted.wish)
        live = wanted.workspace.server(source, role="restore")
        facts = target_facts(live, tables=wanted.tables, now=wanted.now())
        return Choice.of(assessment, backup, facts, tables=wanted.tables)

    def make_room(self, job: Job) -> str:
        removed = drop_staging(job.staging)
        return f"{job.staging.database} is free{' again: an earlier try had left it' if removed else ''}"

    def restore(self, job: Job) -> Loaded:
        planned = job.planned
        drop_staging(job.staging)
        restored = verbs(planned.kind).restore(
            job.workspace, _backup(job), job.staging, store=planned.store, database=job.staging.database,
            tables=planned.tables, run=job.run, progress=job.progress, stop=job.stop,
        )  # fmt: skip
        what = plural(len(planned.tables), "table") if planned.tables else "everything"
        return Loaded(restored.fetched, f"{what} of backup {planned.backup} restored beside")

    def compare(self, job: Job) -> Compared:
        planned = job.planned
        comparison, proof = verbs(planned.kind).compare(
            job.workspace, _backup(job), job.staging, tables=planned.tables or None, store=planned.store, run=job.run,
            stop=job.stop,
        )  # fmt: skip
        good = comparison.equal_as_far_as_compared
        return Compared(comparison, None if good else f"{proof.detail}: {'; '.join(proof.failures)}")

    def question(self, job: Job) -> list[Check]:
        checks: list[Check] = verbs(job.planned.kind).validate(
            job.workspace, _backup(job), job.staging, store=job.planned.store, run=job.run
        )
        return checks


def _backup(job: Job) -> CompleteBackup:
    planned = job.planned
    return job.workspace.catalog(planned.store).backup(job.plan.system, planned.source, planned.kind, planned.backup)


METHOD: RecoveryMethod = Logical()
