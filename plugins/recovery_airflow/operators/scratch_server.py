"""The scratch server of a drill: started before, torn down whatever happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.recovery.postgres.scratch import ScratchServer
from recovery_airflow.operators.step import RunFacts, StepOperator
from recovery_airflow.scratch import scratch_folder

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScratchServerStartOperator(StepOperator):
    """Starts an empty PostgreSQL server that only its own unix socket reaches. Started twice, it is the same server.

    :param profile: ``drill`` is tuned for speed and never for durability; ``stock`` is PostgreSQL's own defaults.
    """

    def __init__(self, *, profile: str = "drill", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        folder = scratch_folder(run)
        server = ScratchServer.start(folder, profile=self.profile)
        return {"folder": str(folder), "sentence": f"scratch server {server.target.system_identifier} runs in {folder}"}


class ScratchServerStopOperator(StepOperator):
    """Stops the run's scratch server and removes its folder; nothing to stop is a success."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        folder = scratch_folder(run)
        if not folder.exists():
            return {"sentence": "there was no scratch server"}
        ScratchServer.remove(folder)
        return {"sentence": f"scratch server in {folder} is gone"}
