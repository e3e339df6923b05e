"""Making recovery points: named moments that a restore can be aimed at, and compared with row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.restore_points import keep_point
from recovery_airflow.operators.step import RunFacts, StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class RecoveryPointOperator(StepOperator):
    """Makes a recovery point of a source, records it in each store, and says how long writers waited for it.

    Where the tables cannot be locked within the policy's few milliseconds, the point has only a heartbeat: the run is
    green, since nothing failed, and a warning in the log says whose session it was.

    :param source: name of the source in the policy.
    """

    template_fields: Sequence[str] = ("system", "source")
    required = ("system", "source")
    ui_color = "#d6e6f7"

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        kept = keep_point(self.workspace, system, system.database(self.source), stop=self.stop)
        for warning in kept.warnings:
            self.log.warning("%s", warning)
        point = kept.point
        return {
            "source": self.source,
            "point": point.name,
            "kind": point.kind,
            "at": point.at.isoformat(),
            "waited_ms": round(point.waited_ms, 1),
            "attempts": point.attempts,
            "sentence": kept.in_words,
        }
