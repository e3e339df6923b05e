"""What every method of recovery does, step by step; the runbook calls these and knows no method by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from include.recovery.evidence.model import Check
from include.recovery.fingerprint.model import Comparison
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.plan import PlannedSource, RecoveryPlan
from include.recovery.runbook.planning import Choice
from include.recovery.sources import RunInfo

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


@dataclass(frozen=True)
class Wanted:
    """What was asked for of one source.

    :param wish: the recovery point, in the words of whoever asked.
    :param tables: qualified names; empty means the whole database.
    :param tell: for what was found on the way; goes to the log.
    """

    workspace: Workspace
    system: ProtectedSystem
    source: PostgresSource
    wish: str
    tables: tuple[str, ...]
    now: Callable[[], datetime]
    tell: Callable[[str], object]


@dataclass(frozen=True)
class Job:
    """One planned source while it is recovered.

    :param staging: the database beside the live one that becomes the copy.
    :param scratch: a folder on this machine for a server of the method's own; it need not exist.
    :param stop: ends the work when set.
    """

    workspace: Workspace
    plan: RecoveryPlan
    planned: PlannedSource
    staging: PostgresServer
    scratch: Path
    run: RunInfo
    stop: threading.Event
    now: Callable[[], datetime]
    progress: Progress = NO_PROGRESS

    @property
    def source(self) -> PostgresSource:
        """The source in the policy."""
        return self.workspace.system(self.plan.system).database(self.planned.source)


@dataclass(frozen=True)
class Loaded:
    """A copy waits beside the live database.

    :param fetched: bytes that were read from the store.
    """

    fetched: int
    sentence: str


@dataclass(frozen=True)
class Compared:
    """What comparing a copy found.

    :param comparison: None when nothing could be compared.
    :param checks: what was looked at beside the rows.
    :param problem: why the copy must not take the live database's place; None when it may.
    """

    comparison: Comparison
    problem: str | None
    checks: tuple[Check, ...] = field(default=())


class RecoveryMethod(Protocol):
    """The steps in which methods differ."""

    def concerns(self, source: PostgresSource) -> bool:
        """Whether a source can be recovered in this way; the plan leaves the others as they are."""
        ...

    def choose(self, wanted: Wanted) -> Choice:
        """What to restore, to where, and what that would lose.

        :raises BackupNotFound: with the reason why nothing fits.
        """
        ...

    def make_room(self, job: Job) -> str:
        """Remove what an earlier try has left, and see that there is room; in a sentence."""
        ...

    def restore(self, job: Job) -> Loaded:
        """Make the copy."""
        ...

    def compare(self, job: Job) -> Compared:
        """Is the copy what was planned, row by row? Leaves a proof in the catalog."""
        ...

    def question(self, job: Job) -> list[Check]:
        """Ask the copy the system's own questions."""
        ...
