"""What a drill of physical backups aims at, from what one store's repository and catalog really hold."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from include.recovery.catalog.model import CompleteBackup
from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.errors import BackupCorrupt, BackupNotFound
from include.recovery.evidence.words import plural
from include.recovery.pgbackrest.check import ArchiveReport, check_archive
from include.recovery.pgbackrest.drill_window import Reachable, Window, random_second, reachable_point, window_of
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.replay import said_in
from include.recovery.pgbackrest.segments import segment_of_name
from include.recovery.pgbackrest.stanza import Stanza, open_reading, physical_of_policy
from include.recovery.pgbackrest.take_in import rows_of
from include.recovery.pgbackrest.wal_content import archive_path, examine_segments
from include.recovery.policy.models import PhysicalOptions, PostgresSource, ProtectedSystem
from include.recovery.policy.tier_models import NEWEST_POINT
from include.recovery.sources import PHYSICAL

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


@dataclass(frozen=True)
class Aim:
    """What is restored to, and from.

    :param label: pgBackRest's name of the backup to begin with.
    :param archive_age: seconds from the arrival of the newest WAL that recovery gets to until the drill began: what a
        disaster at that moment would have cost, plus the time that a segment takes to be closed and pushed.
    :param notes: which points were passed over, each with its reason.
    """

    point: RecoveryPoint
    backup: CompleteBackup
    label: str
    archive_age: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """What the repository has, as it was looked at once.

    :param number: pgBackRest's of the repository.
    """

    stanza: Stanza
    number: int
    archive: ArchiveReport
    info: StanzaInfo


@dataclass(frozen=True)
class Drilled:
    """One source's cluster in one store's repository.

    :param began: when the drill did; windows, losses and ages count from there, in every try of every step.
    """

    workspace: Workspace
    system: ProtectedSystem
    source: PostgresSource
    store: str
    began: datetime

    def check_archive(self) -> str:
        """Whether all WAL of the window is there, and the newest point can be reached; in a sentence.

        :raises BackupCorrupt: naming the segments that are missing, or why a point that has to be reachable is not.
        """
        look = self.look()
        problems = list(look.archive.problems)
        if self.physical.restore_points is not None:
            found = self._reachable(look, self._points())
            problems += [found.problem] if found.problem else []
        if problems:
            raise BackupCorrupt("; ".join(problems))
        oldest = min((each.stopped_at for each in look.info.in_repository(look.number)), default=self.began)
        return (
            f"store {self.store}: {plural(len(look.archive.archive.segments), 'WAL segment')}, none missing since "
            f"{max(self._since, oldest):%Y-%m-%d %H:%M:%S}+00"
        )

    def pick(self, wish: str = NEWEST_POINT) -> Aim:
        """The point to restore to, and the backup to begin with.

        :param wish: ``newest point``, ``newest point before <time>``, or a point's name.
        :raises BackupNotFound: when none fits, or the catalog does not know the backup.
        """
        look = self.look()
        points: Iterable[RecoveryPoint] = self._points()
        if wish.strip() != NEWEST_POINT:
            points = [self._recorded.pick(self.system.system, self.source.name, wish, self.began)]
        found = self._reachable(look, points)
        if found.point is None or found.choice is None:
            raise BackupNotFound(f"{self.name}, store {self.store}: {found.problem}")
        chosen, archive = found.choice, look.archive.archive
        until = archive.arrived(chosen.reach.last) or chosen.backup.stopped_at
        age = round(max((self.began - until).total_seconds(), 0.0), 3)
        backup = self._by_label(look, chosen.backup.label)
        return Aim(found.point, backup, chosen.backup.label, age, (*found.notes, *chosen.skipped))

    def draw(self, seed: str) -> tuple[datetime, Window]:
        """A random second of the window, and the window.

        :param seed: the same one draws the same second, as long as the window's oldest backup stays.
        :raises BackupNotFound: when the window has no second.
        """
        look, newest = self.look(), None
        if self.physical.restore_points is not None:
            # A heartbeat that is archived for certain: the one before a point that recovery reaches.
            point = self._reachable(look, self._points()).point
            newest = point.heartbeat.at if point and point.heartbeat else None
        window = window_of(
            look.info, look.number, look.archive, since=self._since, newest=newest, heartbeat=self.physical.heartbeat
        )
        return random_second(window, random.Random(seed)), window  # noqa: S311 - nothing secret is made of it

    def what_ended(self, backup: CompleteBackup, log: str) -> tuple[str, ...]:
        """What is wrong with the archived segments where a recovery ended too early, by their content; a sentence each.

        A listing shows neither damage nor another cluster's segment, and a server takes both for the end of its log.

        :param backup: that the recovery began with.
        :param log: the end of what the copy's server said.
        """
        look, physical = self.look(), backup.manifest.physical
        size, where = look.stanza.segment_bytes, look.info.archive(look.number)
        last = said_in(log).segment or (physical.wal_start if physical else None)
        if where is None or last is None:
            return ()
        segment = segment_of_name(last, size)
        suspects = [segment, look.archive.lineage.segment(segment.number + 1, size)]
        folder = archive_path(look.info.name, where.archive_id)
        system = look.info.system_identifier(where.database_id, look.number)
        found = examine_segments(look.stanza.tool, look.number, look.archive.archive, folder, suspects, system)
        return tuple(finding.sentence for finding in found)

    def again(self, point: str, backup: str, label: str, archive_age: float) -> Aim:
        """An aim in another process: by its names."""
        found = self._recorded.pick(self.system.system, self.source.name, point, self.began)
        return Aim(found, self.backup(backup), label, archive_age)

    def backup(self, backup: str) -> CompleteBackup:
        """A backup of the cluster, from the drilled store's catalog, by its id."""
        catalog = self.workspace.catalog(self.store)
        return catalog.backup(self.system.system, self.source.name, PHYSICAL, backup)

    def look(self) -> Look:
        """What the repository has now.

        :raises StoreUnavailable, WrongKey: when it cannot be looked at.
        """
        stanza = open_reading(self.workspace, self.system, self.source, self.store)
        number = stanza.number(self.store)
        archive = check_archive(stanza.tool, number, since=self._since, segment_bytes=stanza.segment_bytes)
        return Look(stanza, number, archive, stanza.tool.info(repository=number))

    @property
    def physical(self) -> PhysicalOptions:
        """How the policy protects the cluster."""
        return physical_of_policy(self.system, self.source)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system.system}/{self.source.name}"

    @property
    def _recorded(self) -> RecoveryPoints:
        return RecoveryPoints(self.workspace.store(self.store))

    @property
    def _since(self) -> datetime:
        """The beginning of the window that the policy promises."""
        return self.began - (self.source.wal.keep if self.source.wal else timedelta())

    def _points(self) -> Iterator[RecoveryPoint]:
        """The window's, newest first; each is read when it is looked at. Later ones do not concern this drill."""
        for entry in self._recorded.listed(self.system.system, self.source.name):
            if self._since <= entry.at <= self.began:
                yield self._recorded.read(entry)

    def _reachable(self, look: Look, points: Iterable[RecoveryPoint]) -> Reachable:
        wal = self.source.wal
        delay = wal.archive_timeout + wal.push_allowance if wal else timedelta()
        return reachable_point(points, look.info, look.number, look.archive, now=self.began, delay=delay)

    def _by_label(self, look: Look, label: str) -> CompleteBackup:
        catalog = self.workspace.catalog(self.store)
        for row in rows_of(catalog, look.stanza):
            if row.manifest.physical is not None and row.manifest.physical.label == label:
                return catalog.complete(row)
        raise BackupNotFound(
            f"{self.name}: backup {label} is in the repository of store {self.store}, and the catalog there does not "
            "know it; the next backup takes it in"
        )
