"""Recovery sets: which recovery points of a system's sources belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import duration, moment, plural
from include.recovery.sets.gather import keep_set
from recovery_airflow.operators.step import RunFacts, StepOperator, now

if TYPE_CHECKING:
    from airflow.sdk import Context


class BindSetOperator(StepOperator):
    """Binds the newest recovery points of all sources of a system into a set, and keeps it beside the backups."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system, at = self.workspace.system(self.system), now()
        made = keep_set(self.workspace, system, before=at, now=at, by=run.started_by)
        for source, why in made.lacking.items():
            self.log.warning("the set lacks %s: %s", source, why)
        for note in made.notes:
            self.log.warning("%s", note)
        return {
            "set": made.id,
            "sentence": f"set {made.id} of {moment(made.at, system.time_zone)}: {plural(len(made.members), 'source')}, "
            f"{duration(made.skew)} apart",
        }
