"""The continuous replay proof: a scratch standby that gets WAL from one repository's archive alone, and replays it.

Each segment is fetched, decrypted, decompressed and replayed within minutes after it was archived. So a gap, a
truncated segment or one of another timeline is found then, and not by the disaster.

It is started once and asked again and again; like every scratch server it outlives the task that started it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from include.recovery.errors import BackupNotFound, LifeboatError, SourceError, SourceUnavailable
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.check import ArchiveReport, check_archive
from include.recovery.pgbackrest.choose import choose
from include.recovery.pgbackrest.configuration import Configuration
from include.recovery.pgbackrest.marker import Marker, unmarked
from include.recovery.pgbackrest.replay_state import (
    ReplayReport,
    ReplayState,
    judge_replay,
    next_segment,
    waiting_segments,
)
from include.recovery.pgbackrest.restore import (
    configuration_of_copy,
    free_for_restore,
    meaning_of_recovery,
    restore_cluster,
)
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, position_of
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.pgbackrest.wal import Finding, Trouble
from include.recovery.pgbackrest.wal_content import archive_path, examine_segments
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.scratch import ScratchServer

_FILE = "replay.json"
_ASK = """
    SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_replay_lsn()::text,
           pg_catalog.pg_last_xact_replay_timestamp(),
           (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()),
           pg_catalog.pg_is_wal_replay_paused()
"""
_SETTINGS = {
    "hot_standby": "on", "recovery_target_timeline": "latest", "wal_retrieve_retry_interval": "2s",
    # A query of ours must not hold up the replay, and takes less than that.
    "max_standby_archive_delay": "10s",
    # It stays for weeks: small, and without the hours of WAL that a drill's server may keep.
    "shared_buffers": "128MB", "max_wal_size": "1GB", "checkpoint_timeout": "5min",
}
_ODD = (Trouble.NO_HISTORY, Trouble.DUPLICATE, Trouble.UNKNOWN_FILE)
"""What the listing tells of strangers in the archive; holes and damage are the replay's own to find."""
_LOG_BYTES = 128 * 1024
_RESTORED = re.compile(r'restored log file "([0-9A-F]{24})" from archive')
_MESSAGE = re.compile(r"(?:FATAL|PANIC|ERROR|WARNING|LOG|WARN):\s+(.*)")
_TELLING = re.compile(
    r"wrong size|different database system|invalid|incorrect|unexpected|could not|WARN|FATAL|PANIC|ERROR"
)
_USUAL = re.compile(r"the database system is|invalid record length at .*(?:wanted|expected) .*got 0")


@dataclass(frozen=True)
class _Record:
    """What a replay was started from."""

    stanza: str
    repository: int
    label: str
    timeline: int
    segment_bytes: int


class ReplayProof:
    """A standby that replays one repository's archive. Made by ``start`` and ``find``."""

    def __init__(self, configuration: Configuration, directory: Path, record: _Record) -> None:
        self.directory = directory
        self.proven_from = record.label
        self._configuration = _alone(configuration, record.repository)
        self._record = record

    @classmethod
    def start(
        cls,
        configuration: Configuration,
        directory: Path | str,
        *,
        repository: int,
        major: int,
        superuser: str,
        now: datetime,
        segment_bytes: int = SEGMENT_BYTES,
        wait: float = 3600,
        marker: Marker = unmarked,
        program: str = commands.PROGRAM,
    ) -> ReplayProof:
        """Start the standby of a folder, or return the one that runs there.

        One that has ended is brought back by a delta restore of the newest backup.

        :param configuration: the original's.
        :param superuser: of the original.
        :param segment_bytes: of the original's WAL.
        :param wait: seconds until it is consistent.
        :param marker: keeps retention from the backup until it is consistent; ``marker_of`` makes it.
        :raises BackupNotFound: when no backup can be replayed.
        :raises BackupCorrupt, StoreUnavailable, WrongKey: see ``failures``.
        """
        place = Path(directory).absolute()
        record = _read(place)
        if record is not None and (record.stanza, record.repository) == (configuration.stanza, repository):
            try:
                ScratchServer.attach(place)
            except SourceUnavailable:
                # It is brought back from the newest backup, below.
                record = None
            else:
                return cls(configuration, place, record)
        one = _alone(configuration, repository)
        tool = PgBackRest.of(configuration, program=program)
        report = check_archive(tool, repository, since=now, segment_bytes=segment_bytes)
        choice = choose(
            tool.info(repository=repository), repository, Target.newest(), report.archive, report.lineage
        )
        made = _Record(configuration.stanza, repository, choice.backup.label, choice.backup.timeline, segment_bytes)
        call = PgBackRest.of(configuration_of_copy(one, place), program=program).call
        settings = {**_SETTINGS, "restore_command": commands.archive_get(call)}
        with marker(choice.backup.label):
            restore_cluster(
                one, place, Target.newest(), label=choice.backup.label, repository=repository,
                delta=free_for_restore(place), standby=True, program=program,
            )
            try:
                ScratchServer.start_restored(
                    place, major=major, superuser=superuser, settings=settings, wait=wait
                )
            except SourceUnavailable:
                raise
            except LifeboatError as error:
                raise meaning_of_recovery(str(error), Target.newest()) from error
        (place / _FILE).write_text(json.dumps(asdict(made)), encoding="utf-8")
        return cls(configuration, place, made)

    @classmethod
    def find(cls, configuration: Configuration, directory: Path | str) -> ReplayProof:
        """The replay of a folder, whether its server still runs or not: ``ask`` tells.

        :raises SourceUnavailable: when none was ever started there.
        """
        place = Path(directory).absolute()
        record = _read(place)
        if record is None or record.stanza != configuration.stanza:
            raise SourceUnavailable(
                f"stanza {configuration.stanza}: no replay was started in {place}; start it, and its WAL is proven "
                "from then on"
            )
        return cls(configuration, place, record)

    def newer_backup(self, now: datetime, *, program: str = commands.PROGRAM) -> str | None:
        """Label of a newer backup that was begun behind all that was replayed, from which a replay that is stuck could
        go on; None when there is none.

        :raises StoreUnavailable, WrongKey: when the archive cannot be looked at.
        """
        tool, repository = PgBackRest.of(self._configuration, program=program), self._record.repository
        report = check_archive(tool, repository, since=now, segment_bytes=self._record.segment_bytes)
        try:
            choice = choose(
                tool.info(repository=repository), repository, Target.newest(), report.archive, report.lineage
            )
        except BackupNotFound:
            return None
        position = self.state(now).position
        newer = choice.backup.label > self.proven_from
        return choice.backup.label if newer and (position or 0) <= position_of(choice.backup.lsn_start) else None

    @classmethod
    def remove(cls, directory: Path | str) -> None:
        """End the standby of a folder and remove the folder. Nothing there is fine too."""
        ScratchServer.remove(directory)

    def state(self, now: datetime) -> ReplayState:
        """How far it is. A standby that has ended is a state, and no error."""
        told = said_in(_end_of(self.directory / "server.log"))
        try:
            server = ScratchServer.attach(self.directory).server()
            with server.connect(timeout=5) as connection:
                row = connection.execute(_ASK).fetchone()
        except (SourceUnavailable, SourceError) as error:
            return ReplayState(now, running=False, said=told.trouble or str(error))
        except psycopg.Error as error:
            return ReplayState(now, running=False, said=str(meaning_of_session(error, server, "asking the replay")))
        assert row is not None
        in_recovery, lsn, replayed_at, timeline, paused = row
        if not in_recovery or lsn is None:
            return ReplayState(now, running=False, said="it has left recovery and replays no more")
        # The control file learns of a new timeline late; the name of the last segment tells it at once.
        timeline = int(told.segment[:8], 16) if told.segment else timeline or self._record.timeline
        return ReplayState(now, True, position_of(lsn), replayed_at, timeline, paused, told.trouble)

    def ask(
        self,
        now: datetime,
        *,
        allowance: timedelta,
        silence: timedelta | None = None,
        program: str = commands.PROGRAM,
    ) -> ReplayReport:
        """How far the archive is proven, and what keeps the replay from going on, in sentences.

        :param allowance: how long an archived segment may wait to be replayed.
        :param silence: how long the archive may get no new segment; None: not asked.
        :raises StoreUnavailable, WrongKey: when the archive cannot be looked at.
        """
        tool = PgBackRest.of(configuration_of_copy(self._configuration, self.directory), program=program)
        state = self.state(now)
        repository = self._record.repository
        report = check_archive(tool, repository, since=now, segment_bytes=self._record.segment_bytes)
        return judge_replay(
            state, report.archive, report.lineage, proven_from=self.proven_from, allowance=allowance, silence=silence,
            opened=self._opened(tool, state, report, allowance),
            odd=tuple(finding for finding in report.findings if finding.trouble in _ODD),
        )

    def _opened(
        self, tool: PgBackRest, state: ReplayState, report: ArchiveReport, allowance: timedelta
    ) -> tuple[Finding, ...]:
        """What is wrong with the segments that hold the replay up, by their content; nothing is read while none waits.

        The one in which it stopped is looked at too: damage may begin in its middle.
        """
        archive, lineage = report.archive, report.lineage
        size = archive.segment_bytes
        position = state.position
        if position is None:
            suspects = sorted(archive.segments, reverse=True)[:2]
        else:
            waiting = waiting_segments(archive, lineage, position)
            arrived = [file.modified for segment in waiting for file in archive.segments[segment]]
            if not arrived or state.at - min(arrived) <= min(allowance, timedelta(seconds=15)):
                return ()
            suspects = [lineage.segment(position // size, size), next_segment(archive, lineage, position)]
        info = tool.info(repository=self._record.repository)
        where = info.archive(self._record.repository)
        if where is None:
            raise BackupNotFound(f"stanza {tool.stanza}: repository {self._record.repository} has no archive")
        system = info.system_identifier(where.database_id, self._record.repository)
        folder = archive_path(tool.stanza, where.archive_id)
        return tuple(examine_segments(
            tool, self._record.repository, archive, folder, dict.fromkeys(suspects), system
        ))


@dataclass(frozen=True)
class Said:
    """What a standby's log tells.

    :param segment: name of the last one that came from the archive; None when none is named.
    :param trouble: what went wrong since it came; empty when nothing did.
    """

    segment: str | None = None
    trouble: str = ""


def said_in(log: str) -> Said:
    """What the end of a standby's log tells."""
    lines = log.splitlines()
    restored = [match[1] if (match := _RESTORED.search(line)) else None for line in lines]
    last = next((name for name in reversed(restored) if name), None)
    # A segment that it cannot use is fetched again and again: what was said about it at first counts too.
    since = lines[restored.index(last) :] if last else lines
    told = [line for line in since if _TELLING.search(line) and not _USUAL.search(line)]
    if not told:
        return Said(last)
    found = _MESSAGE.search(told[-1])
    return Said(last, (found[1] if found else told[-1]).strip()[:300])


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - _LOG_BYTES, 0))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _alone(configuration: Configuration, repository: int) -> Configuration:
    """With one repository: another that has a segment must not hide that this one lacks it."""
    return replace(
        configuration,
        repositories=[configuration.repository(repository)],
        options=replace(configuration.options, asynchronous=False, from_standby=False),
        standby=None,
    )


def _read(place: Path) -> _Record | None:
    try:
        return _Record(**json.loads((place / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
