"""Bringing a logical backup back: choose it, load it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.catalog.in_use import mark
from include.recovery.evidence.words import duration, moment
from include.recovery.postgres.facts import target_facts
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook import interlock
from include.recovery.sources import verbs
from recovery_airflow.hooks.workspace import WorkspaceHook
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, now
from recovery_airflow.results import RestoreResult, keep
from recovery_airflow.scratch import attach, drop_scratch_database

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
        source = system.source(self.source)
        backup = workspace.catalog(self.store).pick(self.system, self.source, source.kind, self.wish)
        manifest = backup.manifest
        mark(workspace.store(self.store), manifest, run.run_key)  # until its restore sets a marker of its own
        return {
            "source": self.source,
            "kind": manifest.kind,
            "backup": manifest.id,
            "store": self.store,
            "server_version": manifest.server_version,
            "sentence": f"{self.wish}: backup {manifest.id} of {moment(manifest.snapshot_at, system.time_zone)}, "
            f"proven so far: {backup.level}",
        }


class PgRestoreOperator(StepOperator):
    """Restores a backup into a database that is empty or does not exist yet; anything else is refused.

    Without ``connection`` it restores to the run's scratch server, and a retry begins with an empty database again.
    With one, it restores to that server. It never overwrites: taking a live database's place is the runbook's matter,
    after the copy has been proven and the plan approved.

    :param source: name of the source in the policy.
    :param backup: id of the backup.
    :param store: where it is read from.
    :param connection: connection of the server to restore to; None means the run's scratch server.
    :param database: name to restore to; None means the source's own name.
    :param tables: qualified names whose rows alone are fetched; empty means everything.
    """

    template_fields: Sequence[str] = ("system", "source", "backup", "store", "connection", "database", "tables")
    required = ("system", "source", "backup", "store")
    ui_color = "#f8e3c1"

    def __init__(
        self,
        *,
        source: str,
        backup: Any,
        store: str = "primary",
        connection: str | None = None,
        database: str | None = None,
        tables: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.backup = backup
        self.store = store
        self.connection = connection
        self.database = database
        self.tables = tables

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        source = self.workspace.system(self.system).database(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        target = self.target(run, self.database or source.database)
        interlock.check_unoccupied(target_facts(target, now=now()))
        restored = verbs(source.kind).restore(
            self.workspace, backup, target, store=self.store, database=target.database, tables=tuple(self.tables),
            run=run.info, progress=TaskProgress(self.log), stop=self.stop,
        )  # fmt: skip
        seconds = self.seconds
        result = RestoreResult(
            source=self.source, seconds=seconds, backup=self.backup, store=self.store, target=target.redacted,
            stored_bytes=restored.fetched,
        )  # fmt: skip
        key = keep(self, context, run, result)
        told = f"restored backup {self.backup} of {self.source} from {self.store} in {duration(seconds)}"
        return {"backup": self.backup, "evidence": key, "sentence": told}

    def target(self, run: RunFacts, database: str) -> PostgresServer:
        """The database to restore to; on the scratch server what an earlier try has left is removed first."""
        if self.connection:
            connection = WorkspaceHook().connection(self.connection)
            return PostgresServer.from_connection(connection, database=database)
        scratch = attach(run).server(database)
        if run.try_number > 1:
            drop_scratch_database(scratch)
        return scratch
