"""What steps find out, kept as evidence in the store; XCom carries the key alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.model import Check, Measured, Outcome, PointInTime, SourceEvidence
from include.recovery.evidence.records import Instant, Record, pretty
from include.recovery.fingerprint.model import Comparison

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import Backup
    from include.recovery.policy.models import ProtectedSystem
    from include.recovery.stores.port import ObjectStore
    from recovery_airflow.operators.step import RunFacts, StepOperator

EVIDENCE_KEY = "evidence"
Result = TypeVar("Result", bound="StepResult")


class StepResult(Record):
    """What a step found out about one source.

    :param seconds: how long it took.
    """

    source: str
    seconds: float


class RestoreResult(StepResult):
    """A backup has been restored."""

    backup: str
    store: str
    target: str
    stored_bytes: int = 0


class PointResult(RestoreResult):
    """A cluster has been recovered to a recovery point.

    :param base: pgBackRest's name of the backup.
    :param archive_age_seconds: and ``loss_seconds``: see ``PointInTime``.
    """

    point: str
    at: Instant
    base: str
    archive_age_seconds: float
    loss_seconds: float | None
    notes: tuple[str, ...] = ()


class SecondResult(RestoreResult):
    """A cluster has been recovered to a random second of the window.

    :param base: pgBackRest's name of the backup.
    :param note: why the window is shorter than promised.
    """

    second: Instant
    base: str
    note: str | None = None


class CompareResult(StepResult):
    """A restored copy has been compared with its backup's fingerprint.

    :param checks: what was looked at beside the rows.
    """

    comparison: Comparison
    checks: tuple[Check, ...] = ()


class ValidationResult(StepResult):
    """A restored copy has answered the system's own questions."""

    checks: tuple[Check, ...]


class HeartbeatResult(ValidationResult):
    """The heartbeat of a copy has told where it ends.

    :param loss_seconds: from it to the second that was asked for; None when it told that the copy ends elsewhere.
    """

    loss_seconds: float | None


class SwapResult(StepResult):
    """A restored copy has taken the place of what was there."""

    safety_copy: str | None
    at: Instant


def keep(step: StepOperator, context: Context, run: RunFacts, result: StepResult) -> str:
    """Keep a result under the run's folder, one for each try, and leave its key in XCom."""
    path = f"{step.folder(run).prefix}results/{step.task_id}-{run.try_number}.json"
    key = step.workspace.catalog().put_evidence(path, pretty(result))
    context["ti"].xcom_push(key=EVIDENCE_KEY, value=key)
    return key


def kept(store: ObjectStore, context: Context, tasks: Iterable[str], model: type[Result]) -> dict[str, Result]:
    """The results of tasks by source, as their newest tries left them; a task that left none is absent."""
    found = {}
    for task_id in tasks:
        key = context["ti"].xcom_pull(task_ids=task_id, key=EVIDENCE_KEY)
        if isinstance(key, str):
            result = model.model_validate_json(store.get(key)[0])
            found[result.source] = result
    return found


def evidence_of(
    system: ProtectedSystem,
    backup: Backup,
    store: str,
    *,
    restored: RestoreResult | None,
    compared: CompareResult | None,
    validated: ValidationResult | None,
    swapped: SwapResult | None = None,
    tables: Sequence[str] = (),
    kept_until: datetime | None = None,
    point_in_time: PointInTime | None = None,
    rows_known: bool = True,
    began: datetime,
) -> SourceEvidence:
    """Everything that a run has shown about one source's backup.

    :param tables: the tables that were put back; empty means all of it, and then the system's own questions count too.
    :param kept_until: the moment of the restored data, where it is not that of the backup.
    :param point_in_time: to where the log was replayed.
    :param rows_known: whether anything has recorded what the rows were, so that they can be compared at all.
    :param began: when the run did; the age of the recovery point counts from there.
    """
    manifest = backup.manifest
    source = system.source(manifest.source)
    snapshot_at = kept_until or manifest.snapshot_at
    required = ProofLevel.VALIDATED if source.validation and not tables else ProofLevel.IDENTICAL
    level = ProofLevel.STORED if restored is None else ProofLevel.RESTORED
    if compared is not None and compared.comparison.identical:
        level = ProofLevel.IDENTICAL
        # Where nothing is asked, nothing is answered: that proves no more than the comparison.
        if validated and validated.checks and all(check.outcome is Outcome.PASSED for check in validated.checks):
            level = ProofLevel.VALIDATED
    return SourceEvidence(
        source=manifest.source,
        kind=manifest.kind,
        backup=manifest.id,
        store=store,
        snapshot_at=snapshot_at,
        tables=tuple(tables),
        target=restored.target if restored else "",
        safety_copy=swapped.safety_copy if swapped else None,
        level=level,
        required_level=required if rows_known else ProofLevel.RESTORED,
        comparison=compared.comparison if compared else None,
        restore_seconds=restored.seconds if restored else None,
        compare_seconds=compared.seconds if compared else None,
        stored_bytes=restored.stored_bytes if restored else 0,
        restored_bytes=manifest.source_size,
        rpo=Measured(
            seconds=max(0.0, (began - snapshot_at).total_seconds()),
            objective_seconds=system.rpo(source).total_seconds(),
            assumed="rpo" in system.objective(source).assumed,
        ),
        point_in_time=point_in_time,
    )


def evidence_of_cluster(
    system: ProtectedSystem,
    backup: Backup,
    store: str,
    *,
    recovered: PointResult | None,
    compared: CompareResult | None,
    validated: ValidationResult | None,
    second: SecondResult | None,
    heartbeat: HeartbeatResult | None,
    to_point: bool,
) -> SourceEvidence:
    """Everything that a drill has shown about the backup of one source's cluster, and the WAL behind it.

    :param to_point: whether a point had to be reached and compared, and not a random second alone.
    """
    manifest = backup.manifest
    source = system.source(manifest.source)
    level = ProofLevel.STORED if recovered is None and heartbeat is None else ProofLevel.RESTORED
    if compared is not None and compared.comparison.identical:
        level = ProofLevel.IDENTICAL
        if validated and validated.checks and all(check.outcome is Outcome.PASSED for check in validated.checks):
            level = ProofLevel.VALIDATED
    required = ProofLevel.VALIDATED if source.validation else ProofLevel.IDENTICAL
    restored = recovered or second
    notes = (*(recovered.notes if recovered else ()), *((second.note,) if second and second.note else ()))
    return SourceEvidence(
        source=manifest.source,
        kind=manifest.kind,
        backup=manifest.id,
        store=store,
        snapshot_at=recovered.at if recovered else second.second if second else manifest.snapshot_at,
        target=restored.target if restored else "",
        level=level,
        required_level=required if to_point else ProofLevel.RESTORED,
        comparison=compared.comparison if compared else None,
        restore_seconds=restored.seconds if restored else None,
        compare_seconds=compared.seconds if compared else None,
        stored_bytes=restored.stored_bytes if restored else 0,
        restored_bytes=manifest.source_size,
        rpo=Measured(
            seconds=recovered.archive_age_seconds if recovered else None,
            objective_seconds=system.rpo(source).total_seconds(),
            assumed="rpo" in system.objective(source).assumed,
        ),
        point_in_time=PointInTime(
            point=recovered.point if recovered else "",
            base=recovered.base if recovered else "",
            archive_age_seconds=recovered.archive_age_seconds if recovered else None,
            point_loss_seconds=recovered.loss_seconds if recovered else None,
            second=second.second if second else None,
            second_base=second.base if second else "",
            second_loss_seconds=heartbeat.loss_seconds if heartbeat else None,
            notes=notes,
        ),
    )
