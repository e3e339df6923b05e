"""Copies in other stores: find what lacks one, bring it there, check it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.copies import MissingCopy, make_copy, missing_copies
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress

if TYPE_CHECKING:
    from airflow.sdk import Context


class FindMissingCopiesOperator(StepOperator):
    """Lists every backup of a system that a store of its tier does not have yet.

    What was announced through the asset comes first; the catalogs have the last word, since announcements may be lost.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=False, **kwargs)

    def perform(self, run: RunFacts, context: Context) -> list[dict[str, str]]:
        announced = announced_backups(context)
        missing = missing_copies(self.workspace.system(self.system), self.workspace.catalog)
        missing.sort(key=lambda copy: (copy.backup not in announced, copy.backup))
        return [copy.as_dict() for copy in missing]

    def sentence(self, result: Any) -> str:
        return f"{len(result)} copies are missing" if result else "every backup has its copies"


class S3ReplicateOperator(StepOperator):
    """Copies one backup to one other store and checks its SHA-512 there; goes on where an earlier try stopped.

    Where both stores are one endpoint the store copies by itself; otherwise the bytes stream through this task. Where
    the policy says ``native`` the store replicates by itself, and this task waits and checks. The manifest comes last.

    :param copy: ``source``, ``kind``, ``backup``, ``from_store`` and ``to_store``.
    """

    template_fields: Sequence[str] = ("system", "copy")
    ui_color = "#cfe3ea"

    def __init__(self, *, copy: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copy = copy

    @property
    def title(self) -> str:
        """How this copy is named among its siblings in the UI."""
        return f"{self.copy['backup']} to {self.copy['to_store']}" if isinstance(self.copy, Mapping) else self.task_id

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        copy = MissingCopy(**self.copy)
        proof = make_copy(
            self.workspace, self.system, copy, by=run.run_key, progress=TaskProgress(self.log), stop=self.stop
        )
        return {"backup": copy.backup, "store": copy.to_store, "sentence": f"{copy.to_store}: {proof.detail}"}


def announced_backups(context: Context) -> set[str]:
    """Ids of the backups in all asset events that this run was started by; several may have been merged into it."""
    events = context.get("triggering_asset_events") or {}
    return {
        made["backup"]
        for asset_events in events.values()
        for event in asset_events
        for made in (event.extra or {}).get("backups", [])
    }
