"""Taking a backup: look first, dump, hand over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from include.recovery.backup_load import when_to_start
from include.recovery.errors import LifeboatError
from include.recovery.evidence.words import moment, size
from include.recovery.policy.last_valid import remember_policies
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.backoff import Advice
from include.recovery.sources import kind_of, verbs
from recovery_airflow.dag_defaults import backups_of
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, now, truth

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.policy.models import ProtectedSystem, Source


class PrecheckOperator(StepOperator):
    """Looks whether a source can be backed up completely: reachable, rights on every table, no row hidden.

    Of a tier of the whole cluster it asks instead whether the server is this host's and archives its WAL. While
    replicas lag or sessions queue for locks it comes again later, without a worker's slot; its patience is half of the
    tier's grace, and then the backup runs all the same.

    :param source: name of the source in the policy.
    :param tier: name of the tier that is about to be taken; None means a logical one.
    """

    template_fields: Sequence[str] = ("system", "source", "tier")
    required = ("system", "source")

    def __init__(self, *, source: str, tier: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.tier = tier

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace = self.workspace
        system = workspace.system(self.system)
        source = system.source(self.source)
        kind = kind_of(source, None if self.tier is None else system.tier(self.tier))
        found = verbs(kind).precheck(workspace, system, source)
        advice = self.advice(run, system, source)
        if advice.wait is not None:
            self.log.warning("%s", advice.in_words)
            raise AirflowRescheduleException(now() + advice.wait)
        if advice.reasons:
            self.log.warning("%s", advice.in_words)
            found = f"{found}; {advice.in_words}"
        return {"sentence": f"{self.source} can be backed up: {found}"}

    def advice(self, run: RunFacts, system: ProtectedSystem, source: Source) -> Advice:
        """Whether to start now. What cannot be asked stands in no backup's way."""
        if not isinstance(source, PostgresSource):
            return Advice(None)
        tier = None if self.tier is None else system.tier(self.tier)
        try:
            return when_to_start(self.workspace, source, tier, put_off=now() - run.started_at, now=now())
        except LifeboatError as error:
            self.log.warning("the load of %s is not known, so the backup does not wait: %s", self.source, error)
            return Advice(None)


class PgDumpOperator(StepOperator):
    """Backs a PostgreSQL database up: parallel dumps of one snapshot, fingerprinted, encrypted, streamed to the store.

    Nothing is spooled. A second run of the same backup is refused while one lives; a retry of a killed run takes its
    lease over. What a failed try leaves behind is never listed as a backup.

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
        workspace = self.workspace
        system = workspace.system(self.system)
        source = system.source(self.source)
        manifest = verbs(source.kind).backup(
            workspace,
            system,
            source,
            system.tier(self.tier),
            run=run.info,
            note=None if self.note in {None, "", "None"} else self.note,
            hold=truth(self.hold),
            progress=TaskProgress(self.log),
            stop=self.stop,
        )
        return {
            "source": self.source,
            "kind": manifest.kind,
            "backup": manifest.id,
            "new": True,
            "sentence": f"backup {manifest.id} of {self.source}: {size(manifest.stored_size)} in "
            f"{len(manifest.parts)} parts, snapshot of {moment(manifest.snapshot_at, system.time_zone)}",
        }


class AnnounceBackupsOperator(StepOperator):
    """Tells replication which backups are new, through the system's asset, and keeps the valid policy beside them.

    When none is, since the sources are unchanged, there is nothing to announce, and the task is skipped.

    :param backups: what the tasks that back up returned.
    """

    template_fields: Sequence[str] = ("system", "backups")

    def __init__(self, *, backups: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backups = backups

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        remember_policies(self.workspace.store("primary"), self.workspace.policies, [system.system])
        asset = backups_of(self.system)
        taken = [made for made in self.backups if made["new"]]
        if not taken:
            raise AirflowSkipException("no source has changed, so there is no new backup to announce")
        new: Any = [{key: made[key] for key in ("source", "kind", "backup")} for made in taken]
        context["outlet_events"][asset].extra = {"backups": new, "at": datetime.now(UTC).isoformat()}
        return {"sentence": f"announced {', '.join(made['backup'] for made in new)} to replication"}
