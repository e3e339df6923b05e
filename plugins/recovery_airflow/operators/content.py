"""Sources that are backed up item by item, whatever their kind: back up, restore to a copy, compare, ask, discard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import duration, moment, plural, size
from include.recovery.runbook.methods.port import Compared
from include.recovery.sources import content_verbs
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress, truth
from recovery_airflow.operators.verification import BackupStepOperator, keep_answers, keep_comparison
from recovery_airflow.results import RestoreResult, keep
from recovery_airflow.scratch import copy_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import CompleteBackup
    from include.recovery.content.verbs import ContentVerbs


class ContentBackupOperator(StepOperator):
    """Backs a source up: its items are read once, entered into the inventory, and streamed to the store, encrypted.

    Of a tier with ``only_when_changed`` it first looks whether the source still holds what its newest backup holds.
    Then none is taken; the look counts as a recoverable point of that moment.

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
        source, tier = system.content_source(self.source), system.tier(self.tier)
        verbs = content_verbs(source.kind)
        by_hand = None if self.note in {None, "", "None"} else self.note
        if tier.only_when_changed and by_hand is None and not truth(self.hold):
            seen = verbs.look(workspace, system, source, tier, run=run.info, stop=self.stop)
            if seen is not None:
                facts = seen.backup.manifest
                told = f"{self.source} still holds what backup {facts.id} holds; none was taken"
                return {"source": self.source, "kind": facts.kind, "backup": facts.id, "new": False, "sentence": told}
        manifest = verbs.backup(
            workspace, system, source, tier, run=run.info, note=by_hand, hold=truth(self.hold),
            progress=TaskProgress(self.log), stop=self.stop,
        )  # fmt: skip
        for left in manifest.left_out:
            self.log.warning("left out: %s: %s", left.what, left.why)
        items = manifest.content.items if manifest.content else 0
        return {
            "source": self.source,
            "kind": manifest.kind,
            "backup": manifest.id,
            "new": True,
            "sentence": f"backup {manifest.id} of {self.source}: {plural(items, verbs.kind.unit)}, "
            f"{size(manifest.source_size)} in {size(manifest.stored_size)}, as of "
            f"{moment(manifest.snapshot_at, system.time_zone)}",
        }


class ContentStepOperator(BackupStepOperator):
    """A step about the copy of one source's backup; each source's copy has a folder of its own on the worker."""

    def opened(self) -> tuple[ContentVerbs, CompleteBackup]:
        """The verbs of the source's kind, and the backup."""
        source = self.workspace.system(self.system).content_source(self.source)
        backup = self.workspace.catalog(self.store).backup(self.system, self.source, source.kind, self.backup)
        return content_verbs(source.kind), backup


class ContentRestoreOperator(ContentStepOperator):
    """Restores a backup to a copy in a scratch folder of the worker; the source is neither needed nor touched."""

    ui_color = "#f8e3c1"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        verbs, backup = self.opened()
        folder = copy_folder(run, self.source)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if run.try_number > 1:
            verbs.discard(folder)
        restored = verbs.restore(
            self.workspace, backup, folder, store=self.store, run=run.info, progress=TaskProgress(self.log),
            stop=self.stop,
        )  # fmt: skip
        for note in restored.notes:
            self.log.warning("%s", note)
        seconds = self.seconds
        result = RestoreResult(
            source=self.source, seconds=seconds, backup=self.backup, store=self.store, target=restored.target,
            stored_bytes=restored.fetched,
        )  # fmt: skip
        key = keep(self, context, run, result)
        told = f"restored backup {self.backup} of {self.source} from {self.store} in {duration(seconds)}"
        return {"backup": self.backup, "evidence": key, "sentence": told}


class ContentCompareOperator(ContentStepOperator):
    """Compares a restored copy, item by item, with the inventory that was written while the backup was taken.

    Leaves the proof ``identical``, or the failed proof that keeps this backup from being picked again.
    """

    ui_color = "#e6d9f5"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        verbs, backup = self.opened()
        comparison, proof = verbs.compare(
            self.workspace, backup, copy_folder(run, self.source), store=self.store, run=run.info, stop=self.stop
        )
        problem = None if comparison.identical else f"{proof.detail}: {'; '.join(proof.failures)}"
        return keep_comparison(self, context, run, self.source, Compared(comparison, problem))


class ContentQuestionsOperator(ContentStepOperator):
    """Asks a restored copy the questions of its kind, such as ``git fsck``; leaves the proof ``validated``."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        verbs, backup = self.opened()
        checks = verbs.validate(
            self.workspace, backup, copy_folder(run, self.source), store=self.store, run=run.info
        )
        return keep_answers(self, context, run, self.source, checks)


class ContentDiscardOperator(StepOperator):
    """Removes the copies of a run, with whatever runs in them; none is a success.

    :param sources: names of the sources.
    """

    def __init__(self, *, sources: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources = tuple(sources)

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        there = [name for name in self.sources if copy_folder(run, name).exists()]
        for name in self.sources:
            content_verbs(system.content_source(name).kind).discard(copy_folder(run, name))
        return {"sentence": f"{plural(len(there), 'copy', 'copies')} removed" if there else "there was none"}
