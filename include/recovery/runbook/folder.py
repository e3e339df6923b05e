"""A run's folder in the store: its plans, the markers of what has been done, and its timeline.

    <system>/incidents/<run>/plans/0001.json        every plan that was made; the newest is in force
    <system>/incidents/<run>/begun/<digest>.json    signed: when the run first passed the interlock with that plan
    <system>/incidents/<run>/steps/<step>.json      a step has been done, and what it noted
    <system>/incidents/<run>/timeline/...           phases with their times

All of it is written once: a task that is retried or cleared finds what its earlier try did, and does not repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from include.recovery.errors import LifeboatError, ObjectMissing
from include.recovery.evidence.model import Outcome, Phase
from include.recovery.evidence.once import read_once, write_once, written_once
from include.recovery.evidence.records import Instant, Record, key_text, key_time, pretty
from include.recovery.evidence.signing import Signer
from include.recovery.runbook.approval import SignedApproval, SignedBegun, begin, first_problem, read_approvals
from include.recovery.runbook.plan import RecoveryPlan
from include.recovery.stores.port import ObjectStore

Found = TypeVar("Found", bound=Record)


class StepMark(Record):
    """A step that has been done.

    :param detail: what it noted for the steps after it.
    """

    step: str
    run: str
    at: Instant
    detail: dict[str, JsonValue] = Field(default_factory=dict)


@dataclass
class PhaseNotes:
    """What a phase says about itself while it runs.

    :param waited_seconds: spent waiting for people.
    :param skipped: why it was not done, when it was not.
    """

    note: str = ""
    waited_seconds: float = 0.0
    skipped: str | None = field(default=None)

    def skip(self, why: str) -> None:
        """Note that the phase is not done in this run, and why."""
        self.skipped = why


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    store: ObjectStore
    system: str
    run: str
    kind: Literal["incidents", "drills"] = "incidents"

    @property
    def prefix(self) -> str:
        """Where it is, with a trailing slash."""
        return f"{self.system}/{self.kind}/{key_text(self.run)}/"

    def save_plan(self, plan: RecoveryPlan) -> RecoveryPlan:
        """Store a plan and return the one in force.

        Once the run has begun under a plan, that one stays: a step that is cleared resumes it and changes nothing.

        :raises LifeboatError: when the plan belongs to another run.
        """
        if (plan.system, plan.run) != (self.system, self.run):
            raise LifeboatError(
                f"the plan is of {plan.system}, run {plan.run}; this folder is of {self.system}, run {self.run}"
            )
        plans = self._keys("plans/")
        if plans:
            newest = self._read(plans[-1], RecoveryPlan)
            if newest.digest == plan.digest or self.begun(newest) is not None:
                return newest
        number = len(plans) + 1
        while not self._write_once(f"plans/{number:04d}.json", plan):
            number += 1
        return plan

    def plan(self) -> RecoveryPlan:
        """The plan in force: the newest.

        :raises LifeboatError: when there is none.
        """
        plans = self._keys("plans/")
        if not plans:
            raise LifeboatError(f"{self.system}: run {self.run} has no plan in store {self.store.name}; make one first")
        return self._read(plans[-1], RecoveryPlan)

    def approvals(self) -> tuple[SignedApproval, ...]:
        """Every answer to this run's plans; the interlock judges them."""
        return read_approvals(self.store, self.system, self.run)

    def begin(self, plan: RecoveryPlan, signer: Signer, now: datetime) -> SignedBegun:
        """Mark, signed, that the run has begun; a repeated call finds the first mark.

        Only for a run that the interlock has just let pass.
        """
        begun = self.begun(plan)
        if begun is None:
            self._write_once(f"begun/{plan.digest}.json", begin(plan, signer, now))
            begun = self.begun(plan)
        if begun is None:
            raise LifeboatError(f"store {self.store.name} did not keep {self.prefix}begun/{plan.digest}.json")
        return begun

    def begun(self, plan: RecoveryPlan) -> SignedBegun | None:
        """When the run first passed the interlock with a plan; None when it has not."""
        return self._find(f"begun/{plan.digest}.json", SignedBegun)

    def done(self, step: str) -> StepMark | None:
        """The marker of a step; None when it has not been done."""
        return self._find(f"steps/{key_text(step)}.json", StepMark)

    def mark(self, step: str, now: datetime, detail: dict[str, JsonValue] | None = None) -> StepMark:
        """Mark a step as done and return its marker: the first one, when it had been marked already."""
        mark = StepMark(step=step, run=self.run, at=now, detail=detail or {})
        if self._write_once(f"steps/{key_text(step)}.json", mark):
            return mark
        return self.done(step) or mark

    def once(
        self, step: str, action: Callable[[bool], dict[str, JsonValue] | None], clock: Callable[[], datetime]
    ) -> StepMark:
        """Do a step unless it has been done.

        :param action: told whether an earlier try began it and never came back: then it has to look what is done
            already. It returns what to note.
        :param clock: returns the time.
        """
        done = self.done(step)
        if done is not None:
            return done
        begun = StepMark(step=step, run=self.run, at=clock())
        resumed = not self._write_once(f"steps/{key_text(step)}.begun.json", begun)
        return self.mark(step, now=clock(), detail=action(resumed))

    @contextmanager
    def phase(self, name: str, clock: Callable[[], datetime], attempt: int = 1) -> Iterator[PhaseNotes]:
        """Run a phase and put it into the timeline, however it ends."""
        notes = PhaseNotes()
        started = clock()
        outcome, said = Outcome.PASSED, ""
        try:
            yield notes
        except BaseException as error:
            outcome, said = Outcome.FAILED, str(error) if isinstance(error, LifeboatError) else type(error).__name__
            raise
        else:
            if notes.skipped is not None:
                outcome, said = Outcome.SKIPPED, notes.skipped
        finally:
            self.record(
                Phase(
                    name=name,
                    outcome=outcome,
                    started_at=started,
                    finished_at=clock(),
                    attempt=attempt,
                    waited_seconds=notes.waited_seconds,
                    note=said or notes.note,
                )
            )

    def record(self, phase: Phase) -> None:
        """Put a phase into the timeline, such as one whose times are known only afterwards."""
        self._write_once(f"timeline/{key_time(phase.started_at)}-{key_text(phase.name)}-{phase.attempt}.json", phase)

    def timeline(self) -> tuple[Phase, ...]:
        """All phases so far in the order in which they began."""
        phases = [self._read(key, Phase) for key in self._keys("timeline/")]
        return tuple(sorted(phases, key=lambda phase: (phase.started_at, phase.attempt)))

    def _write_once(self, name: str, record: Record) -> bool:
        return write_once(self.store, self.prefix + name, pretty(record))

    def _keys(self, below: str) -> list[str]:
        return written_once(self.store, self.prefix + below)

    def _find(self, name: str, model: type[Found]) -> Found | None:
        try:
            return self._read(self.prefix + name, model)
        except ObjectMissing:
            return None

    def _read(self, key: str, model: type[Found]) -> Found:
        content = read_once(self.store, key)
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise LifeboatError(
                f"store {self.store.name}: {key} cannot be read ({first_problem(error)}); find out who wrote it"
            ) from None
