"""The window of point-in-time recovery, proven: restored to one random second after another, each checked by heartbeat.

The monthly drill does this for one second; this is the long form, for ``make soak``. It looks at the archive first,
since a hole that no random second meets is a hole all the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.recovery.errors import LifeboatError
from include.recovery.pgbackrest.check import ArchiveReport, check_archive
from include.recovery.pgbackrest.choose import choose
from include.recovery.pgbackrest.configuration import Configuration
from include.recovery.pgbackrest.drill_window import Window, judge_heartbeat, random_second, window_of
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.marker import Marker, unmarked
from include.recovery.pgbackrest.restore import free_for_restore, recover, restore_cluster
from include.recovery.pgbackrest.segments import SEGMENT_BYTES
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.postgres.heartbeat import measured_loss, read_heartbeat
from include.recovery.postgres.scratch import ScratchServer


@dataclass(frozen=True)
class Place:
    """What is restored, and where to.

    :param repository: pgBackRest's number.
    :param directory: of the scratch server; its content is thrown away.
    :param database: that the heartbeat is written into.
    :param window: that is promised (``wal.keep``).
    :param heartbeat: how often it is written.
    :param marker: keeps retention from the backup that is being restored; ``marker_of`` makes it.
    """

    configuration: Configuration
    repository: int
    directory: Path
    database: str
    window: timedelta
    heartbeat: timedelta
    major: int
    superuser: str
    segment_bytes: int = SEGMENT_BYTES
    marker: Marker = unmarked


@dataclass(frozen=True)
class SecondProof:
    """One second that was restored to.

    :param label: of the backup that it began with; empty when none leads there.
    :param loss_seconds: from the copy's newest heartbeat to the second.
    :param seconds: that it took.
    :param problem: why it is not proven; None when it is.
    """

    second: datetime
    label: str
    loss_seconds: float | None
    seconds: float
    problem: str | None


@dataclass
class WindowProof:
    """What was found.

    :param window: that was proven; None when there is none.
    :param archive: what is wrong with the archive, each a sentence.
    """

    window: Window | None = None
    archive: tuple[str, ...] = ()
    seconds: list[SecondProof] = field(default_factory=list)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it is not proven, each a sentence; empty when it is."""
        none = () if self.seconds else ("no second was restored to",)
        return (*self.archive, *none, *(each.problem for each in self.seconds if each.problem))


def prove_window(
    place: Place,
    count: int,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    chance: random.Random | None = None,
    tell: Callable[[SecondProof], object] = lambda _: None,
) -> WindowProof:
    """Restore to random seconds of the window, one after the other. Whatever fails is in the result.

    :param count: of seconds.
    :param chance: chooses them; None: the system's own.
    :param tell: hears of each second when it is done.
    :raises LifeboatError: when the repository cannot be looked at, or there is no second to restore to.
    """
    chance = chance or random.SystemRandom()
    tool, since = PgBackRest.of(place.configuration), now() - place.window
    report = check_archive(tool, place.repository, since=since, segment_bytes=place.segment_bytes)
    info = tool.info(repository=place.repository)
    found = WindowProof(archive=report.problems)
    found.window = window_of(info, place.repository, report, since=since, newest=None, heartbeat=place.heartbeat)
    ScratchServer.remove(place.directory)
    try:
        for _ in range(count):
            found.seconds.append(_prove(place, random_second(found.window, chance), info, report))
            tell(found.seconds[-1])
    finally:
        ScratchServer.remove(place.directory)
    return found


def _prove(place: Place, second: datetime, info: StanzaInfo, report: ArchiveReport) -> SecondProof:
    """Restore to a second over what the one before has left, and read the heartbeat there."""
    began, target, label = datetime.now(UTC), Target.time(second), ""
    loss: float | None = None
    problem: str | None = None
    try:
        choice = choose(info, place.repository, target, report.archive, report.lineage)
        label = choice.backup.label
        with place.marker(label):
            restore_cluster(
                place.configuration, place.directory, target, label=label, repository=place.repository,
                delta=free_for_restore(place.directory),
            )
            copy = recover(
                place.directory, target, major=place.major, superuser=place.superuser, at_least=choice.reach.last,
                segment_bytes=place.segment_bytes,
            )
        newest = read_heartbeat(copy.server.server(place.database))
        loss = None if newest is None else round(measured_loss(newest, second), 3)
        problem = judge_heartbeat(newest, second, place.heartbeat)
    except LifeboatError as error:
        problem = f"{second.isoformat()}: {error}"
    return SecondProof(second, label, loss, round((datetime.now(UTC) - began).total_seconds(), 1), problem)
