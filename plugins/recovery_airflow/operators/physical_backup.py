"""Backing a whole cluster up by pgBackRest, checking what its repository has, and restoring it to a scratch server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from include.recovery.evidence.words import duration, moment, size
from include.recovery.pgbackrest.target import parse_target
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.sources import PHYSICAL, verbs
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, truth
from recovery_airflow.results import RestoreResult, keep
from recovery_airflow.scratch import scratch_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import PhysicalBackup


class PgBackRestBackupOperator(StepOperator):
    """Backs the whole cluster of a source up to one store's repository: full, differential or incremental, by its tier.

    pgBackRest copies, compresses and encrypts; the catalog of the store gets the entry when it has ended. A retry after
    a try that died in between finds what that try has finished, and makes no second backup.

    :param source: name of the source in the policy.
    :param tier: name of the tier in the policy; its method says which type.
    :param store: into whose repository; one of the tier's.
    :param note: why it was taken by hand; kept in the manifest.
    :param hold: keep it until somebody releases it.
    """

    template_fields: Sequence[str] = ("system", "source", "tier", "store", "note", "hold")
    required = ("system", "source", "tier", "store")
    ui_color = "#cfe8cf"

    def __init__(
        self, *, source: str, tier: str, store: str, note: str | None = None, hold: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.tier = tier
        self.store = store
        self.note = note
        self.hold = hold

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace = self.workspace
        system = workspace.system(self.system)
        manifest = verbs(PHYSICAL).backup(
            workspace,
            system,
            system.database(self.source),
            system.tier(self.tier),
            run=run.info,
            note=None if self.note in {None, "", "None"} else self.note,
            hold=truth(self.hold),
            store=self.store,
            progress=TaskProgress(self.log),
            stop=self.stop,
        )
        physical = cast("PhysicalBackup", manifest.physical)
        noted = f" ({manifest.note})" if manifest.note else ""
        return {
            "source": self.source,
            "kind": manifest.kind,
            "backup": manifest.id,
            "new": True,
            "store": self.store,
            "sentence": f"backup {manifest.id} of {self.source} in {self.store}: {physical.label}, "
            f"{size(physical.repository_size)} of {size(physical.database_size)}, complete at "
            f"{moment(manifest.snapshot_at, system.time_zone)}{noted}",
        }


class PgBackRestCheckOperator(StepOperator):
    """Checks that WAL reaches every repository, that the store's archive has no hole, and a backup that was just taken.

    Of the backup it looks whether all that it stands on is there; with ``read_back`` the whole repository is read and
    compared with its checksums, which leaves the proof ``stored``.

    :param source: name of the source in the policy.
    :param store: whose repository.
    :param backup: id of the backup; None checks archiving alone.
    :param read_back: read everything back; costs the repository's size.
    """

    template_fields: Sequence[str] = ("system", "source", "store", "backup", "read_back")
    required = ("system", "source", "store")

    def __init__(
        self, *, source: str, store: str, backup: Any = None, read_back: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.store = store
        self.backup = backup
        self.read_back = read_back

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace, kind = self.workspace, verbs(PHYSICAL)
        system = workspace.system(self.system)
        told = []
        if self.backup is not None:
            backup = workspace.catalog(self.store).backup(self.system, self.source, PHYSICAL, self.backup)
            if truth(self.read_back):
                proof = kind.verify(workspace, backup, store=self.store, run=run.info, stop=self.stop)
                told.append(proof.detail)
            else:
                told.append(kind.look(workspace, backup, store=self.store))
        told.append(kind.check(workspace, system, system.database(self.source), store=self.store, stop=self.stop))
        return {"sentence": "; ".join(told)}


class PgBackRestRestoreOperator(StepOperator):
    """Restores a whole cluster to the run's scratch server, recovered to a target, from one store's repository alone.

    Neither the live server nor another store is needed or touched. A retry begins with an empty folder.

    :param source: name of the source in the policy.
    :param target: ``newest``, a time, ``lsn:0/3000028``, ``name:<restore point>`` or ``xid:<number>``; a time without
        an offset is read in the system's time zone.
    :param store: whose repository.
    :param backup: id of the backup to begin with; None means the newest that leads to the target.
    :param databases: only these get their rows; empty means all.
    """

    template_fields: Sequence[str] = ("system", "source", "target", "store", "backup", "databases")
    required = ("system", "source", "target", "store")
    ui_color = "#f8e3c1"

    def __init__(
        self,
        *,
        source: str,
        target: str = "newest",
        store: str = "primary",
        backup: Any = None,
        databases: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.store = store
        self.backup = backup
        self.databases = databases

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace, kind = self.workspace, verbs(PHYSICAL)
        system = workspace.system(self.system)
        source, target = system.database(self.source), parse_target(self.target, system.time_zone)
        if self.backup is None:
            backup = kind.find(workspace, system, source, target, store=self.store)
        else:
            backup = workspace.catalog(self.store).backup(self.system, self.source, PHYSICAL, self.backup)
        folder = scratch_folder(run)
        if run.try_number > 1:
            ScratchServer.remove(folder)
        restored = kind.restore(
            workspace, backup, folder, target=target, store=self.store, databases=tuple(self.databases), run=run.info,
            progress=TaskProgress(self.log), stop=self.stop,
        )  # fmt: skip
        manifest = backup.manifest
        result = RestoreResult(
            source=self.source, seconds=restored.seconds, backup=manifest.id, store=self.store,
            target=restored.server.server().redacted, stored_bytes=manifest.stored_size,
        )  # fmt: skip
        return {
            "source": self.source,
            "backup": manifest.id,
            "store": self.store,
            "evidence": keep(self, context, run, result),
            "sentence": f"restored the cluster of {self.source} from {self.store} to {target.in_words} in "
            f"{duration(restored.seconds)}, replayed until LSN {restored.recovered.lsn or 'of the backup'}",
        }
