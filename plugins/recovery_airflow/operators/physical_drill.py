"""The steps of a drill of physical backups, over one scratch server for each source; small JSON ties them together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from include.recovery.drills.aim import Aim, Drilled
from include.recovery.drills.physical import HEARTBEAT, PhysicalDrill, require_identical, wrong_answers
from include.recovery.errors import BackupNotFound, NotIdentical
from include.recovery.evidence.model import Check, Outcome
from include.recovery.evidence.words import duration, moment, plural
from include.recovery.policy.durations import print_duration
from recovery_airflow.operators.step import RunFacts, StepOperator, TaskProgress
from recovery_airflow.results import CompareResult, HeartbeatResult, PointResult, SecondResult, ValidationResult, keep
from recovery_airflow.scratch import copy_folder

if TYPE_CHECKING:
    from airflow.sdk import Context


class PhysicalDrillStepOperator(StepOperator):
    """A step about one source's cluster.

    :param source: name of the source in the policy.
    :param store: whose repository is drilled.
    """

    template_fields: Sequence[str] = ("system", "source", "store")
    required = ("system", "source", "store")

    def __init__(self, *, source: str, store: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.store = store

    def drill(self, run: RunFacts) -> PhysicalDrill:
        """The drill as every step of the run sees it."""
        system = self.workspace.system(self.system)
        drilled = Drilled(self.workspace, system, system.database(self.source), self.store, run.started_at)
        return PhysicalDrill(drilled, copy_folder(run, self.source), run.info, self.stop)


class DrillArchiveCheckOperator(PhysicalDrillStepOperator):
    """Looks whether all WAL of the window is in the archive, and the newest point can be reached."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        return {"sentence": self.drill(run).check_archive()}


class PickPointOperator(PhysicalDrillStepOperator):
    """Chooses the recovery point, and the backup that leads to it.

    :param wish: ``newest point``, ``newest point before <ISO time>``, or a point's name.
    """

    template_fields: Sequence[str] = ("system", "source", "store", "wish")
    required = ("system", "source", "store", "wish")

    def __init__(self, *, wish: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wish = wish

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        aim = self.drill(run).pick(self.wish)
        at = moment(aim.point.at, self.workspace.system(self.system).time_zone)
        for note in aim.notes:
            self.log.info("%s", note)
        return {
            "point": aim.point.name,
            "backup": aim.backup.manifest.id,
            "label": aim.label,
            "archive_age": aim.archive_age,
            "notes": list(aim.notes),
            "sentence": f"{self.wish}: {aim.point.name} of {at}, from {aim.label}; the newest WAL is "
            f"{duration(aim.archive_age)} old",
        }


class AimedStepOperator(PhysicalDrillStepOperator):
    """A step about the copy that was recovered to the chosen point.

    :param aim: what ``PickPointOperator`` has chosen.
    """

    template_fields: Sequence[str] = ("system", "source", "store", "aim")
    required = ("system", "source", "store", "aim")

    def __init__(self, *, aim: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aim = aim

    def aimed(self, drill: PhysicalDrill) -> Aim:
        """What was chosen, read again from where it is stored."""
        return drill.drilled.again(
            self.aim["point"], self.aim["backup"], self.aim["label"], float(self.aim["archive_age"])
        )

    def judge(self, context: Context, run: RunFacts, checks: Sequence[Check]) -> dict[str, Any]:
        """Keep checks for the report, and fail when one did not pass.

        :raises NotIdentical: naming what was found.
        """
        result = ValidationResult(source=self.source, seconds=self.seconds, checks=tuple(checks))
        key = keep(self, context, run, result)
        if wrong := wrong_answers(checks):
            raise NotIdentical(f"{self.system}/{self.source}: {'; '.join(wrong)}")
        return {"evidence": key}


class RecoverPointOperator(AimedStepOperator):
    """Restores the cluster on a scratch server and recovers it to the chosen point; leaves the proof ``restored``.

    A try that was killed is continued: only what it has not copied yet is copied.
    """

    ui_color = "#f8e3c1"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        drill = self.drill(run)
        aim = self.aimed(drill)
        copy = drill.recover_to_point(aim, TaskProgress(self.log))
        manifest, restored = aim.backup.manifest, copy.restored
        result = PointResult(
            source=self.source, seconds=restored.seconds, backup=manifest.id, store=self.store,
            target=restored.server.server().redacted, stored_bytes=manifest.stored_size, point=aim.point.name,
            at=aim.point.at, base=aim.label, archive_age_seconds=aim.archive_age, loss_seconds=copy.loss,
            notes=tuple(self.aim["notes"]),
        )  # fmt: skip
        return {
            "evidence": keep(self, context, run, result),
            "sentence": f"{aim.label} restored in {duration(restored.copied.seconds)}, recovered to {aim.point.name} "
            f"in {duration(restored.recovered.seconds)}; going back to it would have cost {duration(copy.loss)} at "
            "most",
        }


class PointCompareOperator(AimedStepOperator):
    """Compares every table of the copy with the point; leaves the proof ``identical``, or the failed one."""

    ui_color = "#e6d9f5"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        drill = self.drill(run)
        comparison = drill.compare(self.aimed(drill))
        key = keep(self, context, run, CompareResult(source=self.source, seconds=self.seconds, comparison=comparison))
        require_identical(comparison, f"{self.system}/{self.source}, point {self.aim['point']}")
        return {"evidence": key, "sentence": comparison.verdict}


class PointQueriesOperator(AimedStepOperator):
    """Asks the copy the system's own questions; leaves the proof ``validated``, or the failed one."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        drill = self.drill(run)
        checks = drill.ask(self.aimed(drill))
        return {
            **self.judge(context, run, checks),
            "sentence": f"{plural(len(checks), 'question')} answered as expected",
        }


class PagesCheckOperator(AimedStepOperator):
    """Checks all pages of the copy: their structure while it runs, or their checksums once it is shut down.

    :param what: which of the two.
    """

    def __init__(self, *, what: Literal["structure", "checksums"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.what = what

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        drill = self.drill(run)
        aim = self.aimed(drill)
        check = drill.check_structure(aim) if self.what == "structure" else drill.check_checksums(aim)
        told = check.expected if check.outcome is Outcome.PASSED else check.found
        return {**self.judge(context, run, [check]), "sentence": told}


class PickSecondOperator(PhysicalDrillStepOperator):
    """Draws a random second of the window; each try of a run draws the same."""

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        second, window = self.drill(run).draw()
        zone = self.workspace.system(self.system).time_zone
        told = f"{moment(second, zone)}, of all from {moment(window.first, zone)} to {moment(window.last, zone)}"
        return {
            "second": second.isoformat(),
            "note": window.short,
            "sentence": f"{told}; {window.short}" if window.short else told,
        }


class RecoverSecondOperator(PhysicalDrillStepOperator):
    """Recovers the cluster once more, to the second that was drawn.

    :param second: in ISO format; None when none could be drawn.
    :param note: why the window is shorter than promised.
    """

    template_fields: Sequence[str] = ("system", "source", "store", "second", "note")
    ui_color = "#f8e3c1"

    def __init__(self, *, second: Any, note: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.second = second
        self.note = note

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        if not self.second:
            raise BackupNotFound(f"{self.system}/{self.source}: no second was drawn, so there is none to recover to")
        second = datetime.fromisoformat(self.second)
        copy = self.drill(run).recover_to_second(second, TaskProgress(self.log))
        manifest = copy.backup.manifest
        result = SecondResult(
            source=self.source, seconds=copy.seconds, backup=manifest.id, store=self.store, second=second,
            target=str(copy_folder(run, self.source)), stored_bytes=manifest.stored_size, base=copy.label,
            note=self.note,
        )  # fmt: skip
        return {
            "backup": manifest.id,
            "evidence": keep(self, context, run, result),
            "sentence": f"recovered from {copy.label} to {second:%Y-%m-%d %H:%M:%S}+00 in {duration(copy.seconds)}",
        }


class HeartbeatCheckOperator(PhysicalDrillStepOperator):
    """Asks the copy's newest heartbeat whether it ends at the second, not before and not beyond.

    :param second: in ISO format.
    :param backup: id of the backup that the recovery began with.
    """

    template_fields: Sequence[str] = ("system", "source", "store", "second", "backup")
    required = ("system", "source", "store", "second", "backup")

    def __init__(self, *, second: Any, backup: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.second = second
        self.backup = backup

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        drill, second = self.drill(run), datetime.fromisoformat(self.second)
        allowed = print_duration(2 * drill.drilled.physical.heartbeat)
        expected = f"no more than {allowed} before the second, and not after it"
        try:
            loss = drill.check_heartbeat(second, drill.drilled.backup(self.backup))
        except NotIdentical as error:
            self.keep(context, run, expected, None, str(error))
            raise
        told = f"the newest heartbeat is {duration(loss)} before the second"
        return {"evidence": self.keep(context, run, expected, loss, told), "sentence": told}

    def keep(self, context: Context, run: RunFacts, expected: str, loss: float | None, found: str) -> str:
        """Keep what the heartbeat told, for the report."""
        check = Check(
            name=HEARTBEAT, outcome=Outcome.FAILED if loss is None else Outcome.PASSED, source=self.source,
            expected=expected, found=found, seconds=self.seconds,
        )  # fmt: skip
        result = HeartbeatResult(source=self.source, seconds=self.seconds, checks=(check,), loss_seconds=loss)
        return keep(self, context, run, result)
