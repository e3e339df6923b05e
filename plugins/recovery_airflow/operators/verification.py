"""Is it what was backed up? Stored bytes, every row, and the system's own questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.errors import NotIdentical
from include.recovery.evidence.model import Check, Outcome
from include.recovery.evidence.words import plural
from include.recovery.runbook.methods.port import Compared
from include.recovery.sources import verbs
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, truth
from recovery_airflow.results import CompareResult, ValidationResult, keep
from recovery_airflow.scratch import attach

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import CompleteBackup
    from include.recovery.postgres.server import PostgresServer


class BackupStepOperator(StepOperator):
    """A step about one backup of one source.

    :param source: name of the source in the policy.
    :param backup: id of the backup.
    :param store: whose copy is meant.
    """

    template_fields: Sequence[str] = ("system", "source", "backup", "store")
    required = ("system", "source", "backup", "store")

    def __init__(self, *, source: str, backup: Any, store: str = "primary", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.backup = backup
        self.store = store


class StoredPartsCheckOperator(BackupStepOperator):
    """Reads every stored part back and compares its SHA-512 with the manifest; leaves the proof ``stored``.

    :param new: whether the run has taken the backup; one that only still holds what the source holds was read before.
    """

    template_fields: Sequence[str] = ("system", "source", "backup", "store", "new")

    def __init__(self, *, new: Any = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.new = new

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        if not truth(self.new):
            return {"sentence": "no backup was taken, so there is nothing to read back"}
        source = self.workspace.system(self.system).source(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        proof = verbs(source.kind).verify(
            self.workspace, backup, store=self.store, run=run.info, progress=TaskProgress(self.log)
        )
        return {"sentence": proof.detail}


class ChecksumCompareOperator(BackupStepOperator):
    """Fingerprints a restored copy and compares it, row by row, with the fingerprint taken in the backup's snapshot.

    Leaves the proof ``identical``, or the failed proof that keeps this backup from being picked again.
    """

    ui_color = "#e6d9f5"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.workspace.system(self.system).database(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        return compare_copy(self, context, run, backup, attach(run).server(source.database))


class ValidationQueriesOperator(BackupStepOperator):
    """Asks the restored copy the system's own questions; leaves the proof ``validated``."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.workspace.system(self.system).database(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        return question_copy(self, context, run, backup, attach(run).server(source.database))


def compare_copy(
    step: StepOperator,
    context: Context,
    run: RunFacts,
    backup: CompleteBackup,
    copy: PostgresServer,
    *,
    tables: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare a restored copy with its backup, keep the comparison, and leave a proof in the catalog.

    :param tables: only these; empty means all.
    :raises NotIdentical: naming the tables and rows that differ.
    """
    manifest = backup.manifest
    comparison, proof = verbs(manifest.kind).compare(
        step.workspace, backup, copy, tables=tuple(tables) or None, store=backup.store, run=run.info, stop=step.stop
    )
    good = comparison.equal_as_far_as_compared
    problem = None if good else f"{proof.detail}: {'; '.join(proof.failures)}"
    return keep_comparison(step, context, run, manifest.source, Compared(comparison, problem))


def keep_comparison(
    step: StepOperator, context: Context, run: RunFacts, source: str, compared: Compared
) -> dict[str, Any]:
    """Keep what comparing a copy found.

    :raises NotIdentical: when the copy must not be used.
    """
    result = CompareResult(
        source=source, seconds=step.seconds, comparison=compared.comparison, checks=compared.checks
    )
    key = keep(step, context, run, result)
    if compared.problem is not None:
        raise NotIdentical(f"{step.system}/{source}: {compared.problem}")
    return {"evidence": key, "sentence": compared.comparison.verdict}


def question_copy(
    step: StepOperator, context: Context, run: RunFacts, backup: CompleteBackup, copy: PostgresServer
) -> dict[str, Any]:
    """Ask a restored copy the system's own questions, keep the answers, and leave a proof in the catalog.

    :raises NotIdentical: naming the questions that were answered wrongly.
    """
    manifest = backup.manifest
    checks = verbs(manifest.kind).validate(step.workspace, backup, copy, store=backup.store, run=run.info)
    return keep_answers(step, context, run, manifest.source, checks)


def keep_answers(
    step: StepOperator, context: Context, run: RunFacts, source: str, checks: Sequence[Check]
) -> dict[str, Any]:
    """Keep the answers to the system's own questions.

    :raises NotIdentical: naming the questions that were answered wrongly.
    """
    key = keep(step, context, run, ValidationResult(source=source, seconds=step.seconds, checks=tuple(checks)))
    wrong = [
        f"{check.name}: found {check.found}, expected {check.expected}"
        for check in checks
        if check.outcome is Outcome.FAILED or (check.outcome is Outcome.SKIPPED and check.required)
    ]
    if wrong:
        raise NotIdentical(f"{step.system}/{source}: {'; '.join(wrong)}")
    passed = sum(check.outcome is Outcome.PASSED for check in checks)
    asked = f"{plural(passed, 'question')} answered as expected" if checks else "there is no question to ask"
    for check in checks:
        if check.outcome is Outcome.SKIPPED:
            asked += f"; {check.name}: skipped, {check.found}"
    return {"evidence": key, "sentence": asked}
