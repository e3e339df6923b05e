"""Bringing a logical backup back: choose it, load it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import duration, moment
from include.recovery.sources import verbs
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress
from recovery_airflow.scratch import attach

if TYPE_CHECKING:
    from airflow.sdk import Context


class PickBackupOperator(StepOperator):
    """Chooses a recovery point from the catalog; damaged backups are passed over, each with its reason.

    :param source: name of the source in the policy.
    :param wish: ``newest``, ``newest identical``, ``newest before <ISO time>``, or an id.
    :param store: whose catalog is asked.
    """

    template_fields: Sequence[str] = ("system", "source", "wish", "store")
    required = ("system", "source", "wish", "store")

    def __init__(self, *, source: str, wish: str, store: str = "primary", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.wish = wish
        self.store = store

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace = self.workspace
        system = workspace.system(self.system)
        backups = workspace.catalog(self.store).backups(system=self.system, source=self.source)
        backup = pick(backups, self.wish, datetime.now(UTC))
        manifest = backup.manifest
        return {
            "source": self.source,
            "kind": manifest.kind,
            "backup": manifest.id,
            "store": self.store,
            "sentence": f"{self.wish}: backup {manifest.id} of {moment(manifest.snapshot_at, system.time_zone)}, "
            f"proven so far: {backup.level}",
        }


class PgRestoreOperator(StepOperator):
    """Restores a backup into a database of the run's scratch server; a retry begins with an empty database again.

    :param source: name of the source in the policy.
    :param backup: id of the backup.
    :param store: where it is read from.
    """

    template_fields: Sequence[str] = ("system", "source", "backup", "store")
    required = ("system", "source", "backup", "store")
    ui_color = "#f8e3c1"

    def __init__(self, *, source: str, backup: str, store: str = "primary", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.backup = backup
        self.store = store

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace = self.workspace
        source = workspace.system(self.system).source(self.source)
        began = datetime.now(UTC)
        backup = workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        target = attach(run).server(source.database)
        verbs(source.kind).restore(
            workspace, backup, target, store=self.store, database=source.database, run=run.info,
            progress=TaskProgress(self.log), stop=self.stop,
        )  # fmt: skip
        seconds = (datetime.now(UTC) - began).total_seconds()
        return {
            "backup": self.backup,
            "seconds": round(seconds, 3),
            "sentence": f"restored backup {self.backup} of {self.source} from {self.store} in {duration(seconds)}",
        }
