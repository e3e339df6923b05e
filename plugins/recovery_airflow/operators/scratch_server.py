"""The scratch server of a drill: started before, torn down whatever happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.postgres.scratch import Profile, ScratchServer, version_needed
from recovery_airflow.operators.step import RunFacts, StepOperator
from recovery_airflow.scratch import scratch_folder

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScratchServerStartOperator(StepOperator):
    """Starts an empty PostgreSQL server that only its own unix socket reaches. Started twice, it is the same server.

    :param versions: of the servers whose backups will be restored; it is at least as new as the newest.
    :param profile: ``drill`` is tuned for speed and never for durability; ``stock`` is PostgreSQL's own defaults.
    """

    template_fields: Sequence[str] = ("system", "versions")

    def __init__(self, *, versions: Sequence[Any], profile: Profile = "drill", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.versions = versions
        self.profile = profile

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        folder = scratch_folder(run)
        server = ScratchServer.start(folder, self.profile, major=max(map(version_needed, self.versions)))
        told = f"PostgreSQL {server.version}, {self.profile} settings, runs in {folder}"
        return {"folder": str(folder), "sentence": told}


class ScratchServerStopOperator(StepOperator):
    """Stops the run's scratch server and removes its folder; nothing to stop is a success."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        folder = scratch_folder(run)
        if not folder.exists():
            return {"sentence": "there was no scratch server"}
        ScratchServer.remove(folder)
        return {"sentence": f"scratch server in {folder} is gone"}
