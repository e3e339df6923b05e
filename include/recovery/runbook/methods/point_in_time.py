"""The cluster recovered to a target on a scratch server of the worker, its database copied beside the live one.

The server that people use, and its cluster, stay as they are: only one database of it is replaced, by the same swap as
with a dump.
"""

from __future__ import annotations

import shutil
from time import monotonic

from include.recovery.catalog.model import CompleteBackup, PhysicalBackup
from include.recovery.errors import BackupNotFound, ManifestInvalid, Refused
from include.recovery.evidence.model import Check
from include.recovery.evidence.words import duration, moment, size
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure, measure_like
from include.recovery.fingerprint.model import Comparison
from include.recovery.pgbackrest.restore import free_for_restore, is_begun
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.copy_database import copy_database
from include.recovery.postgres.facts import target_facts
from include.recovery.postgres.restore import RestoreOptions
from include.recovery.postgres.roles import roles_of_database
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.methods.port import Compared, Job, Loaded, RecoveryMethod, Wanted
from include.recovery.runbook.methods.target_proof import problem_of, prove_target, recovery_of
from include.recovery.runbook.physical_choice import choose_physical
from include.recovery.runbook.plan import Mode
from include.recovery.runbook.planning import Choice
from include.recovery.runbook.questions import ask
from include.recovery.runbook.staging import drop_staging
from include.recovery.sources import pgbackrest

_SPARE = 1.1
"""A cluster that is recovered grows a little by its own log."""


class PointInTime:
    """See ``RecoveryMethod``."""

    def concerns(self, source: PostgresSource) -> bool:
        """Only a cluster with an archive can be taken to a moment."""
        return source.physical is not None

    def choose(self, wanted: Wanted) -> Choice:
        found = choose_physical(wanted)
        facts = target_facts(wanted.workspace.server(wanted.source, role="restore"), now=wanted.now())
        return found.choice(facts, "point_in_time")

    def make_room(self, job: Job) -> str:
        removed = drop_staging(job.staging)
        job.scratch.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        needed = recovery_of(job).cluster_bytes
        if job.plan.mode is Mode.REHEARSAL:
            needed += job.planned.target.size  # there the copy is on this machine too
        needed = int(needed * _SPARE)
        free = shutil.disk_usage(job.scratch.parent).free
        if free < needed and not is_begun(job.scratch):
            raise Refused(
                f"{job.plan.system}/{job.planned.source}: the cluster needs {size(needed)} on a scratch server, and "
                f"{job.scratch.parent} has {size(free)} free; make room there, or name another folder in "
                "LIFEBOAT_SCRATCH, and clear this task"
            )
        again = " again: an earlier try had left it" if removed else ""
        return f"{job.staging.database} is free{again}; {size(free)} are free for the scratch server"

    def restore(self, job: Job) -> Loaded:
        began = monotonic()
        backup, recovery = _backup(job), recovery_of(job)
        # Of what an earlier try has left, only what differs is fetched again.
        restored = pgbackrest.restore(
            job.workspace, backup, job.scratch, target=recovery.goal(), store=job.planned.store,
            delta=free_for_restore(job.scratch), run=job.run, progress=job.progress, stop=job.stop,
        )  # fmt: skip
        recovered = monotonic()
        drop_staging(job.staging)
        options = RestoreOptions(streams=job.source.logical.streams)
        copy = copy_database(
            _original(job, restored.server), job.staging, options=options, progress=job.progress, stop=job.stop
        )
        return Loaded(
            _physical(backup).repository_size,
            f"cluster recovered to {recovery.words} in {duration(recovered - began)} (LSN {restored.recovered.lsn}), "
            f"its database copied beside in {duration(sum(copy.seconds.values()))}",
        )

    def compare(self, job: Job) -> Compared:
        began = monotonic()
        original = _original(job, ScratchServer.attach(job.scratch))
        copied = _compare_copy(job, original)
        problem = problem_of(copied, "the copy beside the live database is not what was recovered")
        if problem is not None:
            return Compared(copied, problem)
        proven = prove_target(job, original, began)
        return Compared(proven.comparison or copied, proven.problem, proven.checks)

    def question(self, job: Job) -> list[Check]:
        return ask(job.staging, job.source.validation, source=job.planned.source)


def _compare_copy(job: Job, original: PostgresServer) -> Comparison:
    """Every row on both sides. Roles belong to the server, which stays, and may have changed since the target."""
    options = job.source.fingerprint
    with original.connect() as connection:
        roles = roles_of_database(connection)
    expected = measure(
        original.connect, coverage=options.coverage, workers=options.workers, roles=roles, stop=job.stop
    ).model_copy(update={"roles": None})
    actual = measure_like(expected, job.staging.connect, workers=options.workers, stop=job.stop)
    return compare(expected, actual)


def _original(job: Job, server: ScratchServer) -> PostgresServer:
    """The database on the scratch server.

    :raises BackupNotFound: when the cluster did not have it at the target.
    """
    name = job.planned.target.database
    with server.server().connect() as connection:
        known = [row[0] for row in connection.execute("SELECT datname FROM pg_catalog.pg_database ORDER BY 1")]
    if name not in known:
        to = recovery_of(job)
        raise BackupNotFound(
            f"the cluster had no database {name} at {to.words} ({moment(to.kept_until, job.plan.time_zone)}); it had "
            f"{', '.join(known)}: choose another moment"
        )
    return server.server(name)


def _backup(job: Job) -> CompleteBackup:
    planned = job.planned
    return job.workspace.catalog(planned.store).backup(job.plan.system, planned.source, planned.kind, planned.backup)


def _physical(backup: CompleteBackup) -> PhysicalBackup:
    if backup.manifest.physical is None:
        raise ManifestInvalid(f"backup {backup.manifest.name} says nothing of a repository; choose another")
    return backup.manifest.physical


METHOD: RecoveryMethod = PointInTime()
