"""The report of a drill of physical backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.recovery.policy.models import PostgresSource
from include.recovery.policy.tier_models import RANDOM_SECOND
from include.recovery.sources import PHYSICAL
from recovery_airflow.operators.reports import DrillReportOperator
from recovery_airflow.results import (
    CompareResult,
    HeartbeatResult,
    PointResult,
    SecondResult,
    ValidationResult,
    evidence_of_cluster,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import Backup
    from include.recovery.evidence.model import Check, SourceEvidence
    from recovery_airflow.operators.step import RunFacts


class PhysicalDrillReportOperator(DrillReportOperator):
    """The report of a drill of clusters: the point, the random second, what was lost, how old the archive is."""

    def found(self, run: RunFacts, context: Context) -> tuple[list[SourceEvidence], list[Check]]:
        system = self.workspace.system(self.system)
        recovered = self.results(context, "recover_point", PointResult)
        compared = self.results(context, "compare", CompareResult)
        validated = self.results(context, "query", ValidationResult)
        seconds = self.results(context, "recover_second", SecondResult)
        beats = self.results(context, "check_heartbeat", HeartbeatResult)
        pages = [self.results(context, f"check_{what}", ValidationResult) for what in ("structure", "checksums")]
        drilled = system.sources_of(self.drill)
        sources = self.restored(run, context, [each for each in drilled if not isinstance(each, PostgresSource)])
        for name in (each.name for each in drilled if isinstance(each, PostgresSource)):
            backup = self.drilled(context, name, seconds.get(name))
            if backup is not None:
                sources.append(
                    evidence_of_cluster(
                        system, backup, self.store, recovered=recovered.get(name), compared=compared.get(name),
                        validated=validated.get(name), second=seconds.get(name), heartbeat=beats.get(name),
                        to_point=self.drill.recovery_point != RANDOM_SECOND,
                    )
                )  # fmt: skip
        results = (validated, *pages, beats)
        return sources, [check for each in results for result in each.values() for check in result.checks]

    def drilled(self, context: Context, source: str, second: SecondResult | None) -> Backup | None:
        """The backup that was chosen for the point, or else the one of the random second; None when neither was."""
        chosen = context["ti"].xcom_pull(task_ids=f"choose.pick_point__{source}")
        backup = chosen["backup"] if chosen else second.backup if second else None
        return self.workspace.catalog(self.store).backup(self.system, source, PHYSICAL, backup) if backup else None
