"""Does a recovered cluster end where the plan aimed? By the recovery point, or by its heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from include.recovery.catalog.model import Proof, ProofLevel
from include.recovery.catalog.points import RecoveryPoints
from include.recovery.errors import Refused
from include.recovery.evidence.model import Check, Outcome
from include.recovery.evidence.words import duration
from include.recovery.fingerprint.model import Comparison
from include.recovery.pgbackrest.drill_window import judge_heartbeat
from include.recovery.postgres.heartbeat import read_heartbeat
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.methods.port import Job
from include.recovery.runbook.physical_plan import PhysicalRecovery
from include.recovery.runbook.plan import Mode


@dataclass(frozen=True)
class Proven:
    """What looking at a recovered cluster found.

    :param comparison: with the recovery point; None when there is none to compare with.
    :param problem: why it must not be used; None when it may.
    """

    comparison: Comparison | None
    problem: str | None
    checks: tuple[Check, ...] = ()


def prove_target(job: Job, original: PostgresServer, began: float) -> Proven:
    """Compare the source's database in a recovered cluster with the target of the plan. Leaves a proof for a point.

    :param original: that database, which nobody else writes to.
    :param began: when the proof began, by the monotonic clock.
    """
    recovery = recovery_of(job)
    if recovery.point is not None:
        return _by_point(job, original, recovery.point, began)
    if recovery.at is not None:
        problem, check = _by_heartbeat(job, original, recovery)
        return Proven(None, problem, (check,))
    return _newest(job, original, recovery)


def recovery_of(job: Job) -> PhysicalRecovery:
    """To where a source's log is replayed.

    :raises Refused: when the plan does not say.
    """
    recovery = job.planned.recovery
    if recovery is None:
        raise Refused(f"the plan of {job.plan.system} does not say to where {job.planned.source} is recovered")
    return recovery


def check_of(job: Job, name: str, expected: str, problem: str | None, *, found: str = "as expected") -> Check:
    """A check of a source, failed when there is a problem."""
    outcome = Outcome.PASSED if problem is None else Outcome.FAILED
    return Check(name=name, outcome=outcome, source=job.planned.source, expected=expected, found=problem or found)


def problem_of(found: Comparison, what: str) -> str | None:
    """Why a comparison is not good enough; None when it is."""
    if found.equal_as_far_as_compared:
        return None
    return f"{what}: {found.verdict}: {'; '.join(difference.message for difference in found.differences[:5])}"


def _by_point(job: Job, original: PostgresServer, name: str, began: float) -> Proven:
    point = RecoveryPoints(job.workspace.store(job.planned.store)).pick(
        job.plan.system, job.planned.source, name, job.now()
    )
    reached = compare_with_point(point, original, workers=job.source.fingerprint.workers, stop=job.stop)
    problem = problem_of(reached, f"what was recovered is not recovery point {point.name}")
    check = check_of(job, f"recovery point {point.name}", "what the point recorded", problem)
    _leave_proof(job, reached, began)
    useful = point.fingerprint is not None or problem is not None
    return Proven(reached if useful else None, problem, (check,))


def _by_heartbeat(job: Job, original: PostgresServer, recovery: PhysicalRecovery) -> tuple[str | None, Check]:
    """Does the copy end at the moment that was asked for, by the heartbeat in it?

    One beyond the moment is always wrong. One that is too old may have stood still before the incident: a rehearsal
    stops there, an incident goes on and says so in its report.
    """
    at, physical = recovery.at, job.source.physical
    assert at is not None
    assert physical is not None
    newest = read_heartbeat(original)
    why = judge_heartbeat(newest, at, physical.heartbeat)
    beyond = newest is not None and newest.at > at
    expected = f"within {duration(2 * physical.heartbeat)} before the target"
    check = check_of(job, "heartbeat at the target", expected, why)
    return (why if beyond or job.plan.mode is Mode.REHEARSAL else None), check


def _newest(job: Job, original: PostgresServer, recovery: PhysicalRecovery) -> Proven:
    """How far the newest state reaches, by its heartbeat: not behind the newest recovery point that it must hold."""
    newest, known = read_heartbeat(original), recovery.known
    due = known.heartbeat_at if known is not None else None
    problem = None
    if due is not None and (newest is None or newest.at < due):
        has = f"ends at the heartbeat of {newest.at.isoformat()}" if newest else "has no heartbeat"
        problem = f"what was recovered {has}, and the newest recovery point knew one of {due.isoformat()}"
    told = f"heartbeat {newest.beat} of {newest.at.isoformat()}" if newest else "none is written in this database"
    expected = f"not before {due.isoformat()}" if due else "any"
    return Proven(None, problem, (check_of(job, "newest heartbeat", expected, problem, found=told),))


def _leave_proof(job: Job, found: Comparison, began: float) -> None:
    """What comparing with a recovery point says of the backup that the recovery began with."""
    planned, good = job.planned, found.equal_as_far_as_compared
    level = ProofLevel.IDENTICAL if found.identical or not good else ProofLevel.RESTORED
    proof = Proof(
        level=level, ok=good, at=job.now(), by=job.run.started_by, store=planned.store, detail=found.verdict,
        failures=tuple(difference.message for difference in found.differences), seconds=round(monotonic() - began, 3),
    )  # fmt: skip
    catalog = job.workspace.catalog(planned.store)
    backup = catalog.backup(job.plan.system, planned.source, planned.kind, planned.backup)
    catalog.append_proof(backup.manifest, proof)
