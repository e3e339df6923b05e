"""The monthly drill of physical backups: two restores on a scratch host, each proven in its own way.

1. to the newest verifiable point: every table compared with the point, the system's own questions asked, structure and
   checksums of all pages checked;
2. to a random second of the window: its heartbeat tells whether the copy ends there, not before and not behind.

A step that fails is a failed check with a sentence. What depends on it is skipped, which a verdict takes for failed;
nothing turns green afterwards.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TypeVar

from include.recovery.catalog.points import Heartbeat, RecoveryPoint
from include.recovery.errors import BackupNotFound, LifeboatError
from include.recovery.evidence.model import Check, Outcome
from include.recovery.fingerprint.model import Comparison
from include.recovery.pgbackrest.check import ArchiveReport, check_archive
from include.recovery.pgbackrest.choose import Choice, choose
from include.recovery.pgbackrest.configuration import Configuration
from include.recovery.pgbackrest.drill_window import (
    Window,
    judge_heartbeat,
    random_second,
    reachable_point,
    window_of,
)
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.marker import Marker, unmarked
from include.recovery.pgbackrest.pages import check_checksums, check_structure
from include.recovery.pgbackrest.restore import Recovered, recover, restore_cluster
from include.recovery.pgbackrest.segments import SEGMENT_BYTES
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.policy.models import Validation
from include.recovery.postgres.heartbeat import measured_loss, read_heartbeat
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.tools import find
from include.recovery.runbook.questions import ask

Result = TypeVar("Result")

ARCHIVE, POINT, RESTORE, COMPARE = "wal archive", "newest verifiable point", "restore to the point", "every table"
QUESTIONS, STRUCTURE, CHECKSUMS = "validation queries", "structure of pages", "checksums of pages"
SECOND, SECOND_RESTORE, HEARTBEAT = "random second", "restore to the second", "heartbeat at the second"
STEPS = (ARCHIVE, POINT, RESTORE, COMPARE, QUESTIONS, STRUCTURE, CHECKSUMS, SECOND, SECOND_RESTORE, HEARTBEAT)
"""Every step of the drill, in order; a report without one of them has failed."""


@dataclass(frozen=True)
class Drill:
    """What is to be drilled.

    :param repository: pgBackRest's number.
    :param directory: of the scratch server; its content is thrown away.
    :param database: that the points were made in.
    :param points: newest first; as far back as a restore may be aimed.
    :param questions: the system's own.
    :param window: of point-in-time recovery that is promised (``wal.keep``).
    :param archive_delay: how old a point may be and not yet be in the archive (archive_timeout + push_allowance).
    :param heartbeat: how often it is written.
    :param major: of the server, ``superuser`` of it.
    :param marker: keeps retention from the backup that is being restored; ``marker_of`` makes it.
    """

    configuration: Configuration
    repository: int
    directory: Path
    source: str
    database: str
    points: Sequence[RecoveryPoint]
    questions: Sequence[Validation]
    window: timedelta
    archive_delay: timedelta
    heartbeat: timedelta
    major: int
    superuser: str
    segment_bytes: int = SEGMENT_BYTES
    workers: int = 2
    marker: Marker = unmarked


@dataclass
class DrillReport:
    """What the drill found.

    :param checks: one for each of ``STEPS``, each question beside; a step's failure is its ``found``.
    :param rto_seconds: from the drill's beginning until the copy of the newest point took connections.
    :param rpo_seconds: from the newest heartbeat in that copy to the drill's beginning: what going back to the point
        would have cost at most.
    :param archive_age_seconds: how long before the drill the newest WAL had arrived: what a disaster at its beginning
        would have cost when recovered to the newest state, plus the time that a segment takes to be closed and pushed.
    :param loss_seconds: from the heartbeat in the second copy to the second that was asked for.
    """

    started_at: datetime
    checks: list[Check] = field(default_factory=list)
    comparison: Comparison | None = None
    point: RecoveryPoint | None = None
    label: str | None = None
    second: datetime | None = None
    second_label: str | None = None
    rto_seconds: float | None = None
    rpo_seconds: float | None = None
    archive_age_seconds: float | None = None
    loss_seconds: float | None = None
    restore_seconds: float | None = None
    recover_seconds: float | None = None
    compare_seconds: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it has failed, each a sentence; empty when it has passed."""
        done = {check.name for check in self.checks}
        wrong = [f"{each.name}: {each.found}" for each in self.checks
                 if each.outcome is Outcome.FAILED or (each.outcome is Outcome.SKIPPED and each.required)]
        return (*wrong, *(f"{name}: it was not run" for name in STEPS if name not in done))

    @property
    def passed(self) -> bool:
        """Whether every step was run and is good."""
        return not self.problems


def run_drill(
    drill: Drill,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    chance: random.Random | None = None,
    stop: threading.Event | None = None,
) -> DrillReport:
    """Run it. Whatever fails is in the report; the scratch server is removed in the end.

    :param chance: chooses the second; None: the system's own.
    :param stop: ends the work when set.
    """
    run = _Run(drill, DrillReport(now()), chance or random.SystemRandom(), stop)
    ScratchServer.remove(drill.directory)
    try:
        run.all()
    finally:
        ScratchServer.remove(drill.directory)
    return run.report


class _Failed(Exception):
    """A step has failed; its check is in the report."""


class _Run:
    """One run through the steps."""

    def __init__(
        self, drill: Drill, report: DrillReport, chance: random.Random, stop: threading.Event | None
    ) -> None:
        self.drill, self.report = drill, report
        self._chance, self._stop = chance, stop
        self._began = monotonic()
        self._tool = PgBackRest.of(drill.configuration)
        self._newest: Heartbeat | None = None

    def all(self) -> None:
        """Every step; what depends on a failed one is skipped, and says so."""
        try:
            archive, info = self._step(ARCHIVE, self._look, "every segment that the window needs")
        except _Failed:
            # A hole does not keep the drill from finding out what can still be restored, unless nothing can be read.
            try:
                archive, info = self._look_only()
            except LifeboatError as error:
                return self._skip(STEPS[1:], f"the repository cannot be looked at: {error}")
        self.report.archive_age_seconds = _age(archive, self.report.started_at)
        try:
            self._to_the_point(archive, info)
        except _Failed as failed:
            self._skip([step for step in STEPS[1:7] if not self._has(step)], f"the step {failed} before it failed")
        try:
            self._to_a_second(archive, info)
        except _Failed as failed:
            self._skip([step for step in STEPS[7:] if not self._has(step)], f"the step {failed} before it failed")
        return None

    def _to_the_point(self, archive: ArchiveReport, info: StanzaInfo) -> None:
        drill, report = self.drill, self.report
        found = reachable_point(
            drill.points, info, drill.repository, archive, now=report.started_at, delay=drill.archive_delay
        )
        report.notes += found.notes
        self._step(POINT, lambda: _refuse(found.problem), "the newest point can be reached", must_go_on=True)
        if found.point is None or found.choice is None:
            raise _Failed(POINT)
        point, choice = found.point, found.choice
        report.point, report.label = point, choice.backup.label
        target = Target.point(point.name, lsn=point.lsn, at=point.at)
        copy = self._step(RESTORE, lambda: self._restore(target, choice, first=True), f"recovered to {target.in_words}")
        report.rto_seconds = round(monotonic() - self._began, 3)
        server = copy.server.server(drill.database)
        began = monotonic()
        self._step(COMPARE, lambda: self._compare(point, copy), "identical to the point", must_go_on=True)
        report.compare_seconds = round(monotonic() - began, 3)
        questions = self._step(
            QUESTIONS, lambda: ask(server, drill.questions, source=drill.source), "right answers", must_go_on=True
        )
        self._questions(questions or [])
        self._step(
            STRUCTURE, lambda: self._structure(copy), "every page well formed, every row in every index",
            must_go_on=True,
        )
        data = copy.server.shut_down()
        self._checksums(data)

    def _to_a_second(self, archive: ArchiveReport, info: StanzaInfo) -> None:
        drill, report = self.drill, self.report
        window, second = self._step(SECOND, lambda: self._second(archive, info), "a second of the window")
        report.second = second
        if window.short:
            report.notes.append(window.short)
        target = Target.time(second)
        choice = self._step_quietly(SECOND, lambda: choose(
            info, drill.repository, target, archive.archive, archive.lineage
        ))
        report.second_label = choice.backup.label
        copy = self._step(SECOND_RESTORE, lambda: self._restore(target, choice), f"recovered to {target.in_words}")
        self._step(HEARTBEAT, lambda: self._heartbeat(copy, second), f"within {2 * drill.heartbeat} before the second")

    def _look(self) -> tuple[ArchiveReport, StanzaInfo]:
        report, info = self._look_only()
        _none(report.problems)
        return report, info

    def _look_only(self) -> tuple[ArchiveReport, StanzaInfo]:
        drill = self.drill
        report = check_archive(
            self._tool, drill.repository, since=self.report.started_at - drill.window,
            segment_bytes=drill.segment_bytes,
        )
        return report, self._tool.info(repository=drill.repository)

    def _restore(self, target: Target, choice: Choice, *, first: bool = False) -> Recovered:
        drill, report = self.drill, self.report
        ScratchServer.end(drill.directory)
        with drill.marker(choice.backup.label):
            done = restore_cluster(
                drill.configuration, drill.directory, target, label=choice.backup.label, repository=drill.repository,
                delta=(drill.directory / "data" / "PG_VERSION").exists(), stop=self._stop,
            )
            copy = recover(
                drill.directory, target, major=drill.major, superuser=drill.superuser, at_least=choice.reach.last,
                segment_bytes=drill.segment_bytes,
            )
        if first:
            report.restore_seconds, report.recover_seconds = done.seconds, copy.seconds
        return copy

    def _compare(self, point: RecoveryPoint, copy: Recovered) -> None:
        server = copy.server.server(self.drill.database)
        self._newest = read_heartbeat(server)
        if self._newest is not None:
            self.report.rpo_seconds = round(measured_loss(self._newest, self.report.started_at), 3)
        found = compare_with_point(point, server, workers=self.drill.workers, stop=self._stop)
        self.report.comparison = found
        if not found.identical:
            first = "; ".join(difference.message for difference in found.differences[:3])
            raise LifeboatError(f"{found.verdict}: {first}" if first else found.verdict)

    def _structure(self, copy: Recovered) -> None:
        tools = find(self.drill.major, tool="pg_amcheck")
        _none(check_structure(tools, copy.server.server(), jobs=self.drill.workers, stop=self._stop))

    def _questions(self, answers: list[Check]) -> None:
        self.report.checks += answers
        wrong = [answer.name for answer in answers if answer.outcome is not Outcome.PASSED]
        if wrong:
            self._settle(QUESTIONS, f"wrong answers to: {', '.join(wrong)}")

    def _checksums(self, data: Path) -> None:
        major = self.drill.major
        found = self._step(
            CHECKSUMS, lambda: check_checksums(find(major, tool="pg_checksums"), data, stop=self._stop),
            "every page as its checksum says", must_go_on=True,
        )
        if found is None and self._outcome(CHECKSUMS) is Outcome.PASSED:
            self._settle(
                CHECKSUMS, "the cluster keeps no data checksums, so damaged pages show only by their structure; "
                "switch them on with pg_checksums --enable", Outcome.SKIPPED, required=False,
            )
        elif found:
            self._settle(CHECKSUMS, "; ".join(found))

    def _second(self, archive: ArchiveReport, info: StanzaInfo) -> tuple[Window, datetime]:
        window = window_of(
            info, self.drill.repository, archive, since=self.report.started_at - self.drill.window,
            newest=None if self._newest is None else self._newest.at, heartbeat=self.drill.heartbeat,
        )
        return window, random_second(window, self._chance)

    def _heartbeat(self, copy: Recovered, second: datetime) -> None:
        newest = read_heartbeat(copy.server.server(self.drill.database))
        if newest is not None:
            self.report.loss_seconds = round(measured_loss(newest, second), 3)
        _refuse(judge_heartbeat(newest, second, self.drill.heartbeat))

    def _step(
        self, name: str, work: Callable[[], Result], expected: str, *, must_go_on: bool = False
    ) -> Result:
        """Do a step and record how it went.

        :param must_go_on: a failure is recorded and keeps nothing from running; then the result is None.
        :raises _Failed: when it fails, unless it must go on.
        """
        began = monotonic()
        try:
            result = work()
        except LifeboatError as error:
            self._record(name, Outcome.FAILED, expected, str(error), began)
            if must_go_on:
                return None  # type: ignore[return-value]
            raise _Failed(name) from error
        self._record(name, Outcome.PASSED, expected, "as expected", began)
        return result

    def _step_quietly(self, name: str, work: Callable[[], Result]) -> Result:
        """More work of a step that is recorded already."""
        try:
            return work()
        except LifeboatError as error:
            self._settle(name, str(error))
            raise _Failed(name) from error

    def _record(self, name: str, outcome: Outcome, expected: str, found: str, began: float) -> None:
        self.report.checks.append(Check(
            name=name, outcome=outcome, source=self.drill.source, expected=expected, found=found,
            seconds=round(monotonic() - began, 3),
        ))

    def _settle(
        self, name: str, found: str, outcome: Outcome = Outcome.FAILED, *, required: bool = True
    ) -> None:
        """Correct how a step went."""
        self.report.checks = [
            check.model_copy(update={"outcome": outcome, "found": found, "required": required})
            if check.name == name else check
            for check in self.report.checks
        ]

    def _skip(self, names: Sequence[str], why: str) -> None:
        self.report.checks += [
            Check(name=name, outcome=Outcome.SKIPPED, source=self.drill.source, found=why) for name in names
        ]

    def _has(self, name: str) -> bool:
        return any(check.name == name for check in self.report.checks)

    def _outcome(self, name: str) -> Outcome | None:
        return next((check.outcome for check in self.report.checks if check.name == name), None)


def _none(problems: Sequence[str]) -> None:
    if problems:
        raise LifeboatError("; ".join(problems))


def _refuse(problem: str | None) -> None:
    if problem is not None:
        raise BackupNotFound(problem)


def _age(archive: ArchiveReport, at: datetime) -> float | None:
    newest = archive.archive.newest_at
    return None if newest is None else round(max((at - newest).total_seconds(), 0.0), 3)
