"""Databases on Amazon RDS: snapshots begun by the Amazon provider, awaited, copied and entered by our verb; drills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.rds import RdsCreateDbSnapshotOperator

from include.recovery.evidence.words import duration, listed, moment, plural
from include.recovery.sources import rds
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, truth
from recovery_airflow.operators.verification import BackupStepOperator, keep_answers
from recovery_airflow.results import RestoreResult, keep

if TYPE_CHECKING:
    from airflow.sdk import Context


class NameSnapshotOperator(StepOperator):
    """Says which snapshot the run has to make: its identifier and tags, the same for every try of every task.

    :param source: name of the source in the policy.
    :param tier: name of the tier in the policy.
    """

    template_fields: Sequence[str] = ("system", "source", "tier")
    required = ("system", "source", "tier")

    def __init__(self, *, source: str, tier: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.tier = tier

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        source, tier = system.source(self.source), system.tier(self.tier)
        asked = rds.begin(self.workspace, system, source, tier, run=run.info)
        return {"identifier": asked.identifier, "tags": dict(asked.tags), "sentence": f"snapshot {asked.identifier}"}


class MakeSnapshotOperator(RdsCreateDbSnapshotOperator):
    """Has the service begin a snapshot; one that an earlier try has begun is left to go on.

    Nobody waits for it here: the provider's waiting does not end when a snapshot fails. The step behind does both.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(wait_for_completion=False, **kwargs)

    def execute(self, context: Context) -> str:
        """Begin it, unless it is there.

        :return: its identifier.
        """
        found = self.hook.conn.describe_db_snapshots(
            Filters=[{"Name": "db-snapshot-id", "Values": [self.db_snapshot_identifier]}]
        )
        if found["DBSnapshots"]:
            self.log.info("snapshot %s was begun by an earlier try", self.db_snapshot_identifier)
        else:
            super().execute(context)
        return str(self.db_snapshot_identifier)


class EnterSnapshotOperator(StepOperator):
    """Waits for the run's snapshot, copies it to the second region, and enters it: then it is a backup.

    The provider's own operator for copies sends an empty pre-signed URL, with which RDS copies no encrypted snapshot
    between regions.

    :param source: name of the source in the policy.
    :param tier: name of the tier in the policy.
    :param note: why it was taken by hand; kept in the manifest.
    :param hold: keep it until somebody releases it.
    """

    template_fields: Sequence[str] = ("system", "source", "tier", "note", "hold")
    required = ("system", "source", "tier")
    ui_color = "#cfe8cf"

    def __init__(self, *, source: str, tier: str, note: str | None = None, hold: bool | str = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.source = source
        self.tier = tier
        self.note = note
        self.hold = hold

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        manifest = rds.backup(
            self.workspace, system, system.source(self.source), system.tier(self.tier), run=run.info,
            note=None if self.note in {None, "", "None"} else self.note, hold=truth(self.hold),
            progress=TaskProgress(self.log), stop=self.stop,
        )  # fmt: skip
        regions = [copy.region for copy in manifest.managed.copies] if manifest.managed else []
        return {
            "source": self.source,
            "kind": manifest.kind,
            "backup": manifest.id,
            "new": True,
            "sentence": f"backup {manifest.id} of {self.source}: snapshots in {listed(regions)}, of "
            f"{moment(manifest.snapshot_at, system.time_zone)}",
        }


class CheckSnapshotsOperator(StepOperator):
    """Compares what the service has with what the catalogs know, in both regions.

    Snapshots of runs that died before their entry are entered; an entry whose snapshot is gone is marked as damaged, so
    that no recovery picks it. What is left is told in the log, and by the watchdog until it is mended.

    :param source: name of the source in the policy.
    """

    template_fields: Sequence[str] = ("system", "source")
    required = ("system", "source")

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        source = system.source(self.source)
        taken = rds.take_in_forgotten(self.workspace, system, source, run=run.info)
        told = list(taken.left)
        for store in rds.stores_of(source):
            told += rds.check_catalog(self.workspace, system, source, store=store, run=run.info).sentences
        for sentence in dict.fromkeys(told):
            self.log.warning("%s", sentence)
        entered = f"{plural(len(taken.entered), 'forgotten snapshot')} entered, " if taken.entered else ""
        found = plural(len(told), "thing") + " to look at, see the log" if told else "service and catalogs agree"
        return {"sentence": f"{self.source}: {entered}{found}"}


class RestoreSnapshotOperator(BackupStepOperator):
    """Restores a snapshot to a scratch instance, closed to the public; the original is neither needed nor touched."""

    ui_color = "#f8e3c1"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, rds.KIND, self.backup)
        made = rds.restore(
            self.workspace, backup, store=self.store, run=run.info, progress=TaskProgress(self.log), stop=self.stop
        )
        seconds = self.seconds
        result = RestoreResult(
            source=self.source, seconds=seconds, backup=self.backup, store=self.store, target=made.where
        )
        key = keep(self, context, run, result)
        told = f"restored backup {self.backup} of {self.source} as {made.where} in {duration(seconds)}"
        return {"backup": self.backup, "evidence": key, "sentence": told}


class AskSnapshotOperator(BackupStepOperator):
    """Puts the system's own questions to the scratch instance; leaves the proof ``restored``, never a better one."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, rds.KIND, self.backup)
        made = rds.restore(self.workspace, backup, store=self.store, run=run.info, stop=self.stop)  # finds its own
        checks = rds.validate(self.workspace, backup, made, store=self.store, run=run.info)
        return keep_answers(self, context, run, self.source, checks)


class DiscardInstancesOperator(StepOperator):
    """Takes the scratch instances of a run away, without a last snapshot; none is a success.

    :param picked: by source, what the tasks that picked the backups returned.
    :param store: whose snapshots were restored.
    """

    template_fields: Sequence[str] = ("system", "picked")

    def __init__(self, *, picked: Mapping[str, Any], store: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.picked = picked
        self.store = store

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        for source, choice in self.picked.items():
            if not choice:
                continue
            backup = self.workspace.catalog(self.store).backup(self.system, source, rds.KIND, choice["backup"])
            rds.discard(self.workspace, backup, store=self.store, run=run.info)
        return {"sentence": f"no scratch instance of {listed(list(self.picked))} is left"}
