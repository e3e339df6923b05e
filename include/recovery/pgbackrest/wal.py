"""What WAL is archived, from a listing of the repository: holes, duplicates, empty segments, how far backups reach.

Pure: the listing comes in, findings come out. Three things look like trouble and are none: two equal copies of one
segment, a ``.partial`` at a promotion, and a gap between old backups whose WAL retention has let go.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from include.recovery.errors import ManifestInvalid
from include.recovery.pgbackrest.info import BackupInfo
from include.recovery.pgbackrest.segments import (
    SEGMENT_BYTES,
    Lineage,
    Segment,
    Switch,
    lsn_of,
    segment_of_name,
    switches_of,
)

_FILE = re.compile(
    r"(?:(?P<folder>[0-9A-F]{16})/)?(?:"
    r"(?P<segment>[0-9A-F]{24})(?P<partial>\.partial)?-(?P<sha1>[0-9a-f]{40})(?:\.(?P<compressed>gz|lz4|zst|bz2))?"
    r"|(?P<history>[0-9A-F]{8})\.history"
    r"|(?P<label>[0-9A-F]{24}\.[0-9A-F]{8}\.backup))"
)


class Trouble(StrEnum):
    """What can be wrong with an archive."""

    MISSING = "missing"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    WRONG_SYSTEM = "wrong system"
    WRONG_PLACE = "wrong place"
    DUPLICATE = "duplicate"
    NO_HISTORY = "no history"
    UNKNOWN_FILE = "unknown file"


@dataclass(frozen=True)
class Finding:
    """Something wrong with the archive, in a sentence.

    :param segments: first and last name concerned; equal for one.
    """

    trouble: Trouble
    sentence: str
    segments: tuple[str, str] | None = None


@dataclass(frozen=True)
class Stored:
    """One file of the archive.

    :param path: below the archive id's folder, such as ``0000000100000000/000000010000000000000002-...zst``.
    :param size: stored bytes, compressed and encrypted.
    """

    path: str
    size: int
    modified: datetime

    @property
    def sha1(self) -> str:
        """Of the segment's content, from the name; empty for other files."""
        match = _FILE.fullmatch(self.path)
        return (match["sha1"] or "") if match else ""


@dataclass(frozen=True)
class Archive:
    """One cluster's WAL in one repository, as a listing shows it.

    :param segments: the copies of each segment; one, unless something is odd.
    :param partials: what promoted servers archived of the segment that they were in.
    :param histories: timelines whose ``.history`` file is there.
    :param unknown: files that do not belong into an archive.
    """

    name: str
    segments: Mapping[Segment, tuple[Stored, ...]]
    partials: Mapping[Segment, tuple[Stored, ...]] = field(default_factory=dict)
    histories: frozenset[int] = frozenset()
    unknown: tuple[Stored, ...] = ()
    segment_bytes: int = SEGMENT_BYTES

    @property
    def newest(self) -> Segment | None:
        """The last segment of the highest timeline."""
        return max(self.segments, default=None)

    @property
    def newest_at(self) -> datetime | None:
        """When a segment last arrived."""
        return max((file.modified for files in self.segments.values() for file in files), default=None)

    def arrived(self, segment: Segment | None) -> datetime | None:
        """When a segment arrived; None when it is not there."""
        return max((file.modified for file in self.segments.get(segment, ())), default=None) if segment else None

    @property
    def stored_bytes(self) -> int:
        """Bytes of all segments in the repository."""
        return sum(file.size for files in self.segments.values() for file in files)

    def is_sound(self, segment: Segment) -> bool:
        """Whether a segment is there, not empty, and no two different ones claim its name."""
        files = self.segments.get(segment, ())
        return bool(files) and all(file.size for file in files) and len({file.sha1 for file in files}) == 1


@dataclass(frozen=True)
class Span:
    """The WAL that something needs.

    :param what: for messages, such as ``backup 20261121-070000F``.
    :param first: its first segment.
    :param last: its last one; None means everything since the first.
    """

    what: str
    first: Segment
    last: Segment | None = None


@dataclass(frozen=True)
class Reach:
    """How far recovery gets from a segment.

    :param last: the last one in sequence; None when even the first is missing.
    :param stopped_by: the one that is missing or unfit; None when there is nothing after the last.
    """

    last: Segment | None
    stopped_by: Segment | None


def parse_listing(data: bytes | str, name: str, *, segment_bytes: int = SEGMENT_BYTES) -> Archive:
    """The archive in what ``pgbackrest repo-ls --recurse --output=json`` printed.

    :param name: of the archive's folder, for messages.
    :raises ManifestInvalid: when it is not what pgBackRest prints.
    """
    try:
        found = json.loads(data)
        files = [
            Stored(path, int(each["size"]), datetime.fromtimestamp(each.get("time") or 0, UTC))
            for path, each in found.items()
            if each["type"] == "file"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestInvalid(f"pgBackRest's listing of {name} cannot be read ({type(error).__name__})") from error
    return archive_of(files, name, segment_bytes=segment_bytes)


def archive_of(files: Iterable[Stored], name: str, *, segment_bytes: int = SEGMENT_BYTES) -> Archive:
    """The archive that some files make."""
    segments: dict[Segment, list[Stored]] = defaultdict(list)
    partials: dict[Segment, list[Stored]] = defaultdict(list)
    histories: set[int] = set()
    unknown: list[Stored] = []
    for file in files:
        match = _FILE.fullmatch(file.path)
        if match is None or (match["segment"] and not _in_its_folder(match, segment_bytes)):
            unknown.append(file)
        elif match["segment"]:
            kind = partials if match["partial"] else segments
            kind[segment_of_name(match["segment"], segment_bytes)].append(file)
        elif match["history"]:
            histories.add(int(match["history"], 16))
    return Archive(
        name,
        {segment: tuple(each) for segment, each in sorted(segments.items())},
        {segment: tuple(each) for segment, each in sorted(partials.items())},
        frozenset(histories),
        tuple(unknown),
        segment_bytes,
    )


def lineage_of(archive: Archive, histories: Mapping[int, str], timeline: int | None = None) -> Lineage:
    """Where a timeline comes from, as far as its history file tells.

    :param histories: content of the ``.history`` files by timeline.
    :param timeline: None means the newest, which recovery follows unless told otherwise.
    """
    newest = max((*(segment.timeline for segment in archive.segments), *archive.histories), default=1)
    chosen = newest if timeline is None else timeline
    try:
        return Lineage(chosen, switches_of(histories.get(chosen, "")))
    except ValueError:
        return Lineage(chosen)


def reach(archive: Archive, lineage: Lineage, first: Segment) -> Reach:
    """How far a timeline's WAL is there without a hole, beginning with a segment.

    :param first: its number counts; which timeline's file holds it, the lineage tells.
    """
    size, end = archive.segment_bytes, _end(archive, lineage)
    last: Segment | None = None
    for number in range(first.number, end + 1):
        segment = lineage.segment(number, size)
        if not archive.is_sound(segment):
            return Reach(last, segment)
        last = segment
    return Reach(last, None)


def examine(
    archive: Archive, lineage: Lineage, needed: Collection[Span], histories: Mapping[int, str] | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong with an archive.

    :param needed: what must be there without a hole: the WAL of each backup, and all since the beginning of the
        window. What nothing needs may be missing.
    :param histories: content of the ``.history`` files, where they were read.
    """
    findings = [*_empty(archive), *_duplicates(archive), *_without_history(archive, lineage, histories)]
    findings += [
        Finding(Trouble.UNKNOWN_FILE, f"{archive.name}: {file.path} is no file of a WAL archive; find out who wrote it")
        for file in archive.unknown
    ]
    return (*findings, *_holes(archive, lineage, needed))


def needed_by(backups: Iterable[BackupInfo], since: datetime, segment_bytes: int = SEGMENT_BYTES) -> tuple[Span, ...]:
    """What must be in an archive: each backup's own WAL, and everything since the beginning of the window.

    :param since: recovery to every moment from then on is promised. It begins with the newest backup that had ended by
        then; while there is none, with the oldest that there is.
    """
    ordered = sorted(backups, key=lambda backup: backup.stopped_at)
    spans = [
        Span(
            f"backup {backup.label}",
            segment_of_name(backup.wal_start, segment_bytes),
            segment_of_name(backup.wal_stop, segment_bytes),
        )
        for backup in ordered
    ]
    base = next((backup for backup in reversed(ordered) if backup.stopped_at <= since), ordered[0] if ordered else None)
    if base is not None:
        what = f"recovery to any moment since {max(since, base.stopped_at):%Y-%m-%d %H:%M:%S}+00"
        spans.append(Span(what, segment_of_name(base.wal_start, segment_bytes)))
    return tuple(spans)


def _in_its_folder(match: re.Match[str], segment_bytes: int) -> bool:
    try:
        segment_of_name(match["segment"], segment_bytes)
    except ValueError:
        return False
    return bool(match["folder"] == match["segment"][:16])


def _end(archive: Archive, lineage: Lineage) -> int:
    """The highest number that a timeline or its past has; -1 when it has none."""
    size = archive.segment_bytes
    return max(
        (segment.number for segment in archive.segments if lineage.segment(segment.number, size) == segment), default=-1
    )


def _empty(archive: Archive) -> list[Finding]:
    found = []
    for segment, files in archive.segments.items():
        if any(file.size == 0 for file in files):
            name = segment.name(archive.segment_bytes)
            found.append(Finding(
                Trouble.EMPTY,
                f"{archive.name}: WAL segment {name} is empty (0 bytes): recovery ends before it; take a full backup, "
                "and copy the segment from another repository if it is there",
                (name, name),
            ))
    return found


def _duplicates(archive: Archive) -> list[Finding]:
    found = []
    for segment, files in archive.segments.items():
        digests = sorted({file.sha1 for file in files})
        if len(digests) > 1:
            name = segment.name(archive.segment_bytes)
            found.append(Finding(
                Trouble.DUPLICATE,
                f"{archive.name}: WAL segment {name} is there {len(digests)} times with different contents (SHA-1 "
                f"{', '.join(digest[:8] for digest in digests)}): two servers wrote to one archive; find the wrong one "
                "and take a full backup",
                (name, name),
            ))
    return found


def _without_history(archive: Archive, lineage: Lineage, histories: Mapping[int, str] | None) -> list[Finding]:
    known = {*(segment.timeline for segment in archive.segments), lineage.timeline}
    found = [
        Finding(
            Trouble.NO_HISTORY,
            f"{archive.name}: timeline {timeline} has WAL and no file {timeline:08X}.history, so no recovery can "
            "follow it; copy that file from the server's pg_wal, or take a full backup",
        )
        for timeline in sorted(known - {1} - archive.histories)
    ]
    for timeline, text in sorted((histories or {}).items()):
        try:
            switches_of(text)
        except ValueError as error:
            found.append(Finding(
                Trouble.NO_HISTORY,
                f"{archive.name}: {timeline:08X}.history cannot be read ({error}); copy it from the server's pg_wal",
            ))
    return found


def _holes(archive: Archive, lineage: Lineage, needed: Collection[Span]) -> list[Finding]:
    size = archive.segment_bytes
    holes: dict[tuple[Segment, Segment], list[str]] = {}
    for span in needed:
        end = _end(archive, lineage) if span.last is None else span.last.number
        # A backup's own WAL lies on the timeline that it was made on, also when that is no longer the newest.
        own = span.last is not None and lineage.segment(span.last.number, size) != span.last
        line = Lineage(span.last.timeline, _before(lineage, span.last)) if own and span.last is not None else lineage
        for first, last in _missing_runs(archive, line, span.first.number, end):
            holes.setdefault((first, last), []).append(span.what)
    found = []
    for (first, last), wanted_by in holes.items():
        names = first.name(size), last.name(size)
        count = last.number - first.number + 1
        what = f"WAL segment {names[0]} is" if count == 1 else f"WAL segments {names[0]} to {names[1]} ({count}) are"
        found.append(Finding(
            Trouble.MISSING,
            f"{archive.name}: {what} missing, needed by {_some(wanted_by)}; nothing after LSN "
            f"{lsn_of(first.start(size))} can be recovered from earlier backups: take a full backup",
            names,
        ))
    return found


def _before(lineage: Lineage, segment: Segment) -> tuple[Switch, ...]:
    """The switches that led to a segment's timeline, when the lineage knows them."""
    return tuple(switch for switch in lineage.switches if switch.timeline < segment.timeline)


def _missing_runs(archive: Archive, lineage: Lineage, first: int, last: int) -> list[tuple[Segment, Segment]]:
    runs: list[tuple[Segment, Segment]] = []
    for number in range(first, last + 1):
        segment = lineage.segment(number, archive.segment_bytes)
        if segment in archive.segments:
            continue
        if runs and runs[-1][1] == Segment(segment.timeline, number - 1):
            runs[-1] = (runs[-1][0], segment)
        else:
            runs.append((segment, segment))
    return runs


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
