"""What a standby that replays the archive has come to, and what keeps it from going on. Pure.

It reads whole segments. So the end of what it replayed lies in the last segment that it read, or exactly behind it;
what counts as waiting are the segments after that. One that waits for longer than it takes to fetch it is opened and
judged; whatever is wrong with it is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from include.recovery.concerns import Concern, Severity, gravest_first
from include.recovery.pgbackrest.segments import Lineage, Segment, lsn_of
from include.recovery.pgbackrest.wal import Archive, Finding


@dataclass(frozen=True)
class ReplayState:
    """The standby at one moment.

    :param running: False when its server has ended.
    :param position: until where it replayed; None when it is not running.
    :param replayed_at: of the last replayed commit; None when none was replayed yet.
    :param paused: whether it waits for somebody to let it go on.
    :param said: the last words of its log.
    """

    at: datetime
    running: bool
    position: int | None = None
    replayed_at: datetime | None = None
    timeline: int | None = None
    paused: bool = False
    said: str = ""


@dataclass(frozen=True)
class ReplayReport:
    """What is proven of an archive by replaying it.

    :param proven_from: label of the backup that the replay began with; older WAL is not this proof's matter.
    :param lsn: every segment up to here was fetched and replayed.
    :param lag_bytes: archived and not replayed; None when the standby does not run.
    :param lag_seconds: how long the oldest segment that was not replayed has been in the archive; 0 when none waits.
    :param loss_seconds: age of the last commit that was replayed: what a disaster now would cost at most.
    :param waiting: segments in the archive that were not replayed.
    """

    at: datetime
    proven_from: str
    lsn: str | None
    replayed_at: datetime | None
    timeline: int | None
    lag_bytes: int | None
    lag_seconds: float | None
    loss_seconds: float | None
    waiting: int
    concerns: tuple[Concern, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether everything archived was replayed in time."""
        return not self.concerns

    @property
    def problems(self) -> tuple[str, ...]:
        """Each a sentence; empty when all is well."""
        return tuple(concern.sentence for concern in self.concerns)


def next_segment(archive: Archive, lineage: Lineage, position: int) -> Segment:
    """The segment that a standby asks for next, when it has replayed until a position."""
    size = archive.segment_bytes
    return lineage.segment(position // size + (1 if position % size else 0), size)


def waiting_segments(archive: Archive, lineage: Lineage, position: int) -> tuple[Segment, ...]:
    """The archived segments of a timeline that come after a position, without those before a hole or behind one."""
    first = next_segment(archive, lineage, position).number
    size = archive.segment_bytes
    return tuple(
        segment for segment in archive.segments
        if segment.number >= first and lineage.segment(segment.number, size) == segment
    )


def judge_replay(
    state: ReplayState,
    archive: Archive,
    lineage: Lineage,
    *,
    proven_from: str,
    allowance: timedelta,
    silence: timedelta | None = None,
    opened: tuple[Finding, ...] = (),
    odd: tuple[Finding, ...] = (),
) -> ReplayReport:
    """What the standby's state means.

    :param archive: of the one repository that it reads.
    :param lineage: of the newest timeline there.
    :param allowance: how long an archived segment may wait to be replayed.
    :param silence: how long the archive may get no new segment before that is a concern; None: not this one's matter.
    :param opened: what was found wrong with the segments that it should replay next.
    :param odd: what is wrong with the archive whether anything waits or not, such as WAL of an unknown timeline.
    """
    where = archive.name
    concerns = [_named(finding) for finding in odd]
    if silence is not None and (archive.newest_at is None or state.at - archive.newest_at > silence):
        since = "ever" if archive.newest_at is None else f"since {archive.newest_at:%Y-%m-%d %H:%M:%S}+00"
        concerns.append(Concern(
            Severity.CRITICAL, "archive silent",
            f"{where}: no WAL segment has arrived {since}, {silence.total_seconds():.0f} s are allowed, so nothing "
            "after that can be recovered; see why archive_command fails (`lifeboat wal`)",
        ))
    if not state.running or state.position is None:
        concerns += [_named(finding) for finding in opened]
        concerns.append(Concern(
            Severity.CRITICAL, "replay standby",
            f"{where}: the standby that replays the archive does not run or does not answer"
            f"{_because(state.said)}; start it again, and "
            "until then no new WAL is proven",
        ))
        return ReplayReport(
            state.at, proven_from, None, state.replayed_at, state.timeline, None, None, None, 0, gravest_first(concerns)
        )
    waiting = waiting_segments(archive, lineage, state.position)
    size = archive.segment_bytes
    end = max((segment.start(size) + size for segment in archive.segments
               if lineage.segment(segment.number, size) == segment), default=state.position)
    lag_seconds = _oldest_wait(archive, waiting, state.at)
    late = lag_seconds > allowance.total_seconds()
    if state.timeline is not None and not _is_past(lineage, state):
        concerns.append(Concern(
            Severity.CRITICAL, "replay timeline",
            f"{where}: the standby has replayed timeline {state.timeline} to LSN {lsn_of(state.position)}, which is no "
            f"part of timeline {lineage.timeline}'s past: two servers went on from one; find the wrong one, take a "
            "full backup, and start the replay again from it",
        ))
    if state.paused:
        concerns.append(Concern(
            Severity.CRITICAL, "replay paused",
            f"{where}: replay pauses at LSN {lsn_of(state.position)}, as it does when the primary's max_connections "
            f"or another size was raised{_because(state.said)}; remove the standby and start it again",
        ))
    if waiting:
        concerns += [_named(finding) for finding in opened]
        if not opened:
            concerns += _gap(archive, lineage, state.position, waiting, where)
    if late and all(concern.cause == "archive silent" for concern in concerns):
        first = waiting[0].name(size)
        concerns.append(Concern(
            Severity.CRITICAL, "replay lag",
            f"{where}: WAL segment {first} has been in the archive for {lag_seconds:.0f} s and is not replayed, "
            f"{allowance.total_seconds():.0f} s are allowed, and nothing is wrong with it by itself"
            f"{_because(state.said)}; see server.log of the standby",
        ))
    loss = None if state.replayed_at is None else max((state.at - state.replayed_at).total_seconds(), 0.0)
    return ReplayReport(
        state.at, proven_from, lsn_of(state.position), state.replayed_at, state.timeline,
        max(end - state.position, 0), lag_seconds, loss, len(waiting), gravest_first(concerns),
    )


def _named(finding: Finding) -> Concern:
    return Concern(Severity.CRITICAL, f"wal {finding.trouble}", finding.sentence)


def _gap(
    archive: Archive, lineage: Lineage, position: int, waiting: tuple[Segment, ...], where: str
) -> list[Concern]:
    """A segment that is not there while later ones are: no patience helps."""
    size = archive.segment_bytes
    wanted = next_segment(archive, lineage, position)
    if wanted in archive.segments:
        return []
    last = lineage.segment(waiting[0].number - 1, size)
    what = f"WAL segment {wanted.name(size)} is" if last == wanted else (
        f"WAL segments {wanted.name(size)} to {last.name(size)} are"
    )
    return [Concern(
        Severity.CRITICAL, "wal missing",
        f"{where}: {what} missing, and the archive goes on at {waiting[0].name(size)}: recovery from every earlier "
        f"backup ends at LSN {lsn_of(position)}; copy what is missing from another repository or the server's pg_wal, "
        "or take a full backup and start the replay again from it",
    )]


def _oldest_wait(archive: Archive, waiting: tuple[Segment, ...], at: datetime) -> float:
    arrived = [min(file.modified for file in archive.segments[segment]) for segment in waiting]
    return max((at - min(arrived)).total_seconds(), 0.0) if arrived else 0.0


def _is_past(lineage: Lineage, state: ReplayState) -> bool:
    """Whether what the standby replayed belongs to the newest timeline or its past."""
    assert state.timeline is not None
    assert state.position is not None
    return state.timeline == lineage.timeline or lineage.has(state.timeline, state.position)


def _because(said: str) -> str:
    return f" ({said})" if said else ""
