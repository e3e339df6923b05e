"""Is it what was backed up? Stored bytes, every row, and the system's own questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.errors import NotIdentical
from include.recovery.evidence.words import plural
from include.recovery.sources import verbs
from recovery_airflow.operators.step import RunFacts, StepOperator
from recovery_airflow.scratch import attach

if TYPE_CHECKING:
    from airflow.sdk import Context


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
    """Reads every stored part back and compares its SHA-512 with the manifest; leaves the proof ``stored``."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.workspace.system(self.system).source(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        proof = verbs(source.kind).verify(self.workspace, backup, store=self.store)
        return {"sentence": proof.detail}


class ChecksumCompareOperator(BackupStepOperator):
    """Fingerprints a restored copy and compares it, row by row, with the fingerprint taken in the backup's snapshot.

    Leaves the proof ``identical``, or the failed proof that keeps this backup from being picked again.
    """

    ui_color = "#e6d9f5"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.workspace.system(self.system).source(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        comparison, proof = verbs(source.kind).compare(
            self.workspace, backup, attach(run).server(source.database), run=run.info
        )
        if not comparison.identical:
            raise NotIdentical(f"{self.system}/{self.source}: {proof.detail}: {'; '.join(proof.failures)}")
        return {
            "tables": comparison.compared_tables,
            "rows": comparison.compared_rows,
            "sentence": f"identical: {plural(comparison.compared_rows, 'row')} in {plural(comparison.compared_tables, 'table')}",
        }


class ValidationQueriesOperator(BackupStepOperator):
    """Asks the restored copy the system's own questions; leaves the proof ``validated``."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.workspace.system(self.system).source(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        checks = verbs(source.kind).validate(self.workspace, backup, attach(run).server(source.database), run=run.info)
        return {"checks": len(checks), "sentence": f"{plural(len(checks), 'question')} answered as expected"}
