"""The drill of physical backups, step by step: two restores on a scratch server, each proven in its own way.

1. to a verifiable point: every table compared with the point, the system's own questions asked, structure and checksums
   of all pages checked;
2. to a random second of the window: its heartbeat tells whether the copy ends there, not before and not beyond.

Each step is a call of its own, so a graph can show it. What ties them together is the scratch folder: they may run in
different processes of one machine. What they find out about a backup is appended to its proofs, in the catalog of the
store that was drilled; a failed proof keeps it from being picked.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from include.recovery.catalog.in_use import mark
from include.recovery.catalog.model import CompleteBackup, Proof, ProofLevel
from include.recovery.drills.aim import Aim, Drilled
from include.recovery.errors import (
    BackupCorrupt,
    BackupNotFound,
    CopyLost,
    NotIdentical,
    Refused,
    SourceUnavailable,
    ToolFailed,
)
from include.recovery.evidence.model import Check, Outcome
from include.recovery.evidence.words import duration, size
from include.recovery.fingerprint.model import Comparison
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.pgbackrest.drill_window import Window, judge_heartbeat
from include.recovery.pgbackrest.pages import check_checksums, check_structure
from include.recovery.pgbackrest.restore import Restored, free_for_restore, unusable_databases
from include.recovery.pgbackrest.target import Target
from include.recovery.policy.tier_models import NEWEST_POINT
from include.recovery.postgres.heartbeat import measured_loss, read_heartbeat
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import find, major_of
from include.recovery.runbook.questions import ask
from include.recovery.sources import pgbackrest

if TYPE_CHECKING:
    from include.recovery.sources import RunInfo

STRUCTURE, CHECKSUMS, HEARTBEAT = "structure of pages", "checksums of pages", "heartbeat at the second"
_SHOWN = 3
_LOG_BYTES = 128 * 1024


@dataclass(frozen=True)
class Copy:
    """A cluster that was recovered to a point and takes connections.

    :param loss: seconds from the newest heartbeat in it to the drill's beginning: what going back to the point would
        have cost at most. None when it holds no heartbeat.
    """

    restored: Restored
    loss: float | None


@dataclass(frozen=True)
class SecondCopy:
    """A cluster that was recovered to a random second and takes connections.

    :param backup: the one that the recovery began with.
    :param label: pgBackRest's name of it.
    :param seconds: from the restore's beginning until it took connections.
    """

    backup: CompleteBackup
    label: str
    seconds: float


@dataclass(frozen=True)
class PhysicalDrill:
    """The steps.

    :param directory: of the scratch server.
    :param run: one for all steps; it draws the random second too.
    :param stop: ends the work when set.
    """

    drilled: Drilled
    directory: Path
    run: RunInfo
    stop: threading.Event | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)

    def check_archive(self) -> str:
        """See ``Drilled``."""
        return self.drilled.check_archive()

    def pick(self, wish: str = NEWEST_POINT) -> Aim:
        """See ``Drilled``; retention leaves the backup alone from now on, until its restore has a marker of its own."""
        aim = self.drilled.pick(wish)
        mark(self.drilled.workspace.store(self.drilled.store), aim.backup.manifest, self.run.run_id)
        return aim

    def recover_to_point(self, aim: Aim, progress: Progress = NO_PROGRESS) -> Copy:
        """Restore the cluster, recover it to the point, and log in to every database. Leaves the proof ``restored``.

        :raises BackupCorrupt: when what is stored cannot be recovered. For what is wrong with the backup the failed
            proof is left, for WAL behind it none.
        :raises BackupNotFound: when the log ends before the point.
        """
        source, system, point = self.drilled.source, self.drilled.system, aim.point
        target = Target.point(point.name, lsn=point.lsn, at=point.at)
        restored = self._restore(aim.backup, target, progress)
        physical = aim.backup.manifest.physical
        if failures := unusable_databases(restored.server, physical.databases if physical else ()):
            self._failed(aim.backup, ProofLevel.RESTORED, failures)
            raise BackupCorrupt("; ".join(failures))
        beat = read_heartbeat(restored.server.server(source.database))
        loss = None if beat is None else round(measured_loss(beat, self.drilled.began), 3)
        took, rto = duration(restored.seconds), duration(system.objective(source).rto)
        self._proven(
            aim.backup, ProofLevel.RESTORED, restored.seconds,
            f"recovered to {target.in_words} in {took} (RTO {rto}); the newest archived WAL was "
            f"{duration(aim.archive_age)} old (RPO {duration(system.rpo(source))})",
        )  # fmt: skip
        return Copy(restored, loss)

    def compare(self, aim: Aim) -> Comparison:
        """Compare every table of the copy with the point. Leaves the proof ``identical``, also a failed one.

        :return: whatever it found; ``require_identical`` makes an error of it.
        """
        began = monotonic()
        workers = self.drilled.source.fingerprint.workers
        found = compare_with_point(aim.point, self.copy(), workers=workers, stop=self.stop)
        if found.identical:
            self._proven(aim.backup, ProofLevel.IDENTICAL, round(monotonic() - began, 3), found.verdict)
        else:
            failures = tuple(difference.message for difference in found.differences) or (found.verdict,)
            self._failed(aim.backup, ProofLevel.IDENTICAL, failures, detail=found.verdict)
        return found

    def ask(self, aim: Aim) -> list[Check]:
        """Ask the copy the system's own questions. Leaves the proof ``validated``, also a failed one."""
        began, source = monotonic(), self.drilled.source
        checks = ask(self.copy(), source.validation, source=source.name)
        wrong = wrong_answers(checks)
        told = f"{len(checks) - len(wrong)} of {len(checks)} questions answered as expected"
        if wrong:
            self._failed(aim.backup, ProofLevel.VALIDATED, wrong, detail=told)
        elif checks:
            self._proven(aim.backup, ProofLevel.VALIDATED, round(monotonic() - began, 3), told)
        return checks

    def check_structure(self, aim: Aim) -> Check:
        """Tables and indexes of the running copy: is every page well formed, is every row in every index?"""
        server, began = self._server().server(), monotonic()
        tools = find(major_of(aim.backup.manifest.server_version), tool="pg_amcheck")
        workers = self.drilled.source.fingerprint.workers
        problems = check_structure(tools, server, jobs=workers, stop=self.stop)
        return self._pages(aim, STRUCTURE, "every page well formed, every row in every index", problems, began)

    def check_checksums(self, aim: Aim) -> Check:
        """Shut the copy down, and check the checksum of each of its pages.

        :return: skipped, and not required, where the cluster keeps no checksums.
        """
        began = monotonic()
        with suppress(SourceUnavailable):  # an earlier try has done so; one that died by itself is refused below
            ScratchServer.attach(self.directory).shut_down()
        ScratchServer.end(self.directory)
        tools = find(major_of(aim.backup.manifest.server_version), tool="pg_checksums")
        try:
            problems = check_checksums(tools, self.directory / "data", stop=self.stop)
        except ToolFailed as error:
            if "must be shut down" in error.stderr:
                raise CopyLost(f"{self.drilled.name}: the copy's server died, so its pages prove nothing") from error
            raise
        expected = "every page as its checksum says"
        if problems is not None:
            return self._pages(aim, CHECKSUMS, expected, problems, began)
        return Check(
            name=CHECKSUMS, outcome=Outcome.SKIPPED, source=self.drilled.source.name, required=False, expected=expected,
            found="the cluster keeps no data checksums, so damaged pages show only by their structure; switch them on "
            "with pg_checksums --enable", seconds=round(monotonic() - began, 3),
        )  # fmt: skip

    def draw(self) -> tuple[datetime, Window]:
        """See ``Drilled``. Each try of a run draws the same second, so that none is tried until one succeeds."""
        return self.drilled.draw(self.run.run_id)

    def recover_to_second(self, second: datetime, progress: Progress = NO_PROGRESS) -> SecondCopy:
        """Restore the cluster again, to a second of the window. What the first restore has left is used.

        :raises BackupNotFound: when the second cannot be reached.
        :raises BackupCorrupt: when what is stored cannot be recovered; the failed proof is left then.
        """
        what = self.drilled
        target = Target.time(second)
        backup = pgbackrest.find(what.workspace, what.system, what.source, target, store=what.store)
        restored = self._restore(backup, target, progress)
        return SecondCopy(backup, restored.copied.label, restored.seconds)

    def check_heartbeat(self, second: datetime, backup: CompleteBackup) -> float:
        """Whether the copy ends at the second: its newest heartbeat. Leaves the proof ``restored`` when it does.

        :param backup: the one that the recovery began with.
        :return: seconds from the heartbeat to the second.
        :raises NotIdentical: when the copy ends before it or beyond.
        """
        beat = read_heartbeat(self.copy())
        problem = judge_heartbeat(beat, second, self.drilled.physical.heartbeat)
        if problem is not None or beat is None:
            # The heartbeat itself may have stood still, which is no damage of the backup: no failed proof.
            raise NotIdentical(f"{self.drilled.name}: {problem}")
        loss = round(measured_loss(beat, second), 3)
        self._proven(
            backup, ProofLevel.RESTORED, None,
            f"recovered to the random second {second:%Y-%m-%d %H:%M:%S}+00; its newest heartbeat is {duration(loss)} "
            "older",
        )  # fmt: skip
        return loss

    def copy(self) -> PostgresServer:
        """The source's database in the running copy.

        :raises CopyLost: when its server does not run (any more).
        """
        return self._server().server(self.drilled.source.database)

    def _server(self) -> ScratchServer:
        try:
            return ScratchServer.attach(self.directory)
        except SourceUnavailable as error:
            raise CopyLost(f"{self.drilled.name}: {error}") from error

    def _restore(self, backup: CompleteBackup, target: Target, progress: Progress) -> Restored:
        # What an earlier restore or try has left is the beginning of this one: only what differs is copied.
        delta = free_for_restore(self.directory)
        if not delta:
            self._require_room(backup)
        log = self.directory / "server.log"
        log.unlink(missing_ok=True)
        try:
            return pgbackrest.restore(
                self.drilled.workspace, backup, self.directory, target=target, store=self.drilled.store, delta=delta,
                run=self.run, progress=progress, stop=self.stop,
            )  # fmt: skip
        except BackupCorrupt as error:
            self._failed(backup, ProofLevel.RESTORED, (str(error),))
            raise
        except BackupNotFound as error:
            # The archive's listing showed a way to the target: what is in it has to be looked at.
            said = log.read_text(errors="replace")[-_LOG_BYTES:] if log.exists() else ""
            found = self.drilled.what_ended(backup, said) if said else ()
            if found:
                raise BackupCorrupt(f"{'; '.join(found)}; {error}") from error
            raise

    def _require_room(self, backup: CompleteBackup) -> None:
        """A copy that fills the disk would take the worker, or the database beside it, down with it."""
        place = next(folder for folder in self.directory.absolute().parents if folder.exists())
        free, needed = shutil.disk_usage(place).free, backup.manifest.source_size
        if free < needed:
            raise Refused(
                f"{self.drilled.name}: {place} has {size(free)} free, and backup {backup.manifest.id} needs "
                f"{size(needed)}; make room, or name another folder in LIFEBOAT_SCRATCH"
            )

    def _pages(self, aim: Aim, name: str, expected: str, problems: Sequence[str], began: float) -> Check:
        if problems:
            # A later restore does not make the pages whole: only a copy that is identical does.
            self._failed(aim.backup, ProofLevel.IDENTICAL, problems)
        return Check(
            name=name, outcome=Outcome.FAILED if problems else Outcome.PASSED, source=self.drilled.source.name,
            expected=expected, found="; ".join(problems) or "as expected", seconds=round(monotonic() - began, 3),
        )  # fmt: skip

    def _proven(self, backup: CompleteBackup, level: ProofLevel, seconds: float | None, detail: str) -> None:
        self._record(backup, level, ok=True, detail=detail, seconds=seconds)

    def _failed(
        self, backup: CompleteBackup, level: ProofLevel, failures: Sequence[str], detail: str | None = None
    ) -> None:
        self._record(backup, level, ok=False, detail=detail or failures[0], failures=tuple(failures))

    def _record(self, backup: CompleteBackup, level: ProofLevel, **more: Any) -> None:
        what = self.drilled
        proof = Proof(level=level, at=self.now(), by=self.run.started_by, store=what.store, **more)
        what.workspace.catalog(what.store).append_proof(backup.manifest, proof)


def require_identical(found: Comparison, where: str) -> None:
    """Nothing for a copy whose every row was compared and is equal.

    :param where: for the message.
    :raises NotIdentical: naming what differs first.
    """
    if not found.identical:
        first = "; ".join(difference.message for difference in found.differences[:_SHOWN])
        raise NotIdentical(f"{where}: {found.verdict}{f': {first}' if first else ''}")


def wrong_answers(checks: Sequence[Check]) -> tuple[str, ...]:
    """What did not come out as it had to, each a clause."""
    return tuple(
        f"{check.name}: found {check.found}, expected {check.expected}"
        for check in checks
        if check.outcome is Outcome.FAILED
    )
