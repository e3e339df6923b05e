"""Retention in two steps: a plan that people can read, and carrying out no more than it showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.evidence.records import key_text
from include.recovery.evidence.words import listed, plural, size
from include.recovery.retention.carry_out import carry_out, require_done
from include.recovery.retention.gather import look, sources_of
from include.recovery.retention.records import ShownPlan, read_shown, show
from recovery_airflow.operators.step import RunFacts, StepOperator, now, truth

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.retention.gather import SourcePlan

_KEPT_IN_LOG = 200


class PlanRetentionOperator(StepOperator):
    """Decides about every backup of a system in one store, says why in its log, and keeps the plan. Changes nothing.

    :param store: whose backups.
    """

    template_fields: Sequence[str] = ("system", "store")
    required = ("system", "store")
    ui_color = "#efe7d6"

    def __init__(self, *, store: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = store

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        sources = sources_of(system, self.workspace.catalog(self.store))
        plans = [look(self.workspace, system, source, self.store, now()) for source in sources]
        for made in plans:
            self.tell(made)
        shown = ShownPlan.of(self.system, self.store, run.run_key, now(), plans)
        key = show(self.workspace.store(self.store), shown, f"{key_text(run.run_key)}-{run.try_number}")
        freed = sum(
            made.backups[decision.row.key].manifest.stored_size for made in plans for decision in made.plan.expired
        )
        told = f"{plural(len(shown.going), 'backup')} may go ({size(freed)}), {plural(shown.kept, 'backup')} stay"
        refused = listed(shown.refusals, empty="")
        return {"plan": key, "sentence": f"{self.store}: {told}{f'; refused: {refused}' if refused else ''}"}

    def tell(self, made: SourcePlan) -> None:
        """Put a plan into the log: what goes, then what stays, each with its reason."""
        where = f"{made.source} in {made.store}"
        if made.plan.refusal:
            self.log.warning("%s: %s", where, made.plan.refusal)
        for note in made.plan.notes:
            self.log.warning("%s: %s", where, note)
        for decision in made.plan.expired:
            self.log.info("%s: goes:  %s (%s): %s", where, decision.row.id, decision.row.best, decision.why)
        kept = made.plan.kept
        for decision in kept[:_KEPT_IN_LOG]:
            self.log.info("%s: stays: %s (%s): %s", where, decision.row.id, decision.row.best, decision.why)
        if len(kept) > _KEPT_IN_LOG:
            self.log.info("%s: and %d older ones stay; `lifeboat retention` shows all", where, len(kept) - _KEPT_IN_LOG)
        if any(decision.row.wal is not None for decision in kept):
            self.log.info("%s: write-ahead log: %s", where, made.plan.wal.why)


class ExpireBackupsOperator(StepOperator):
    """Removes what the plan showed and a new look still lets go; what was not shown is left for the next run.

    Manifests go first, dependants before what they need. Object lock keeps a backup until its date: then it waits,
    whole and listed. A backup that is being restored stays. Whatever was removed leaves a record with the reason.

    :param store: whose backups.
    :param plan: key of the plan, as ``PlanRetentionOperator`` returned it.
    :param dry_run: remove nothing.
    """

    template_fields: Sequence[str] = ("system", "store", "plan", "dry_run")
    required = ("system", "store", "plan")
    ui_color = "#f3d3cf"

    def __init__(self, *, store: str, plan: Any, dry_run: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = store
        self.plan = plan
        self.dry_run = dry_run

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        shown = read_shown(self.workspace.store(self.store), self.plan, self.system, self.store)
        if truth(self.dry_run):
            return {"removed": 0, "sentence": f"dry run: {plural(len(shown.going), 'backup')} would go, nothing did"}
        system = self.workspace.system(self.system)
        made = []
        for source in sources_of(system, self.workspace.catalog(self.store)):
            record = carry_out(self.workspace, system, source, self.store, run=run.info, only=shown.names)
            made.append(record)
            for done in record.done:
                self.log.info("%s: %s (%s)", done.backup, done.detail, done.why)
            self.log.info("%s", record.sentence)
        require_done(made, f"retention of {self.system}")
        removed = [done for record in made for done in record.done if done.outcome in {"removed", "leftovers"}]
        freed = size(sum(done.freed for done in removed))
        return {
            "removed": len(removed),
            "sentence": f"{'; '.join(record.sentence for record in made)}; {freed} are free again",
        }
