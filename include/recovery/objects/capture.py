"""A backup: the inventory of one moment, every version in the replica, and the history that ties the two together.

Nothing of the objects goes into the backup's parts. Three listings are read side by side, a page at a time: that of the
bucket, that of the replica, and the history of the backup before. What that history knows and the replica still has
costs nothing; the rest is read once, sent, and read again at the far end. A run that was killed goes on where it was:
what it has sent is found in the replica.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3

from include.recovery.content.model import Item
from include.recovery.content.port import Captured
from include.recovery.objects import history
from include.recovery.objects.history import Head, Known, Row
from include.recovery.objects.in_order import Later, in_order
from include.recovery.objects.listing import Version, by_key, side_by_side
from include.recovery.objects.moments import begun, next_second, settled
from include.recovery.objects.places import places
from include.recovery.objects.precheck import refuse_unversioned
from include.recovery.objects.replica import Replicator, brought_or_gone, unclaimed

if TYPE_CHECKING:
    from include.recovery.content.port import Sink, Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource

NAMED = 100
"""So many of each kind are named in the manifest; the rest is counted."""


@dataclass(frozen=True)
class Settled:
    """What a backup holds of a key.

    :param rows: newest first; also those that only the replica still has.
    :param top: what was current at the moment; None when there was nothing, or a delete marker on top.
    :param notes: what and why, for the manifest.
    """

    rows: Sequence[Row] = ()
    top: Row | None = None
    notes: Sequence[tuple[str, str]] = ()


def capture(site: Site[ObjectsSource], sink: Sink) -> Captured:
    """See above."""
    source = site.source
    here, there = places(site)
    for bucket in (here, there):
        refuse_unversioned(bucket)
    uploads = begun(here.unfinished(source.prefix))
    moment = next_second(here, site.stop)
    for key, times in begun(here.unfinished(source.prefix)).items():
        uploads[key] = sorted({*uploads.get(key, ()), *times})
    notes = _Notes(sink)
    for key, times in sorted(uploads.items()):
        for time in times:
            when = datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="seconds")
            notes.add("upload", f"upload of {key!r} since {when}", "in progress at the backup's moment: no object yet")
    with history.known(site) as known, sink.writing(history.PART) as part:
        part.write(history.line(Head(source.bucket, source.prefix, moment)))
        work = _Work(Replicator(here, there, site.progress), source.prefix, moment, uploads, known)
        with closing(in_order(work.jobs(), threads=source.threads, stop=site.stop)) as all_settled:
            for found in all_settled:
                for row in found.rows:
                    part.write(history.line(row))
                for what, why in found.notes:
                    notes.add("version", what, why)
                if found.top is not None:
                    sink.item(Item(found.top.key, found.top.digest, found.top.size, found.top.id))
    notes.close()
    sink.leave_out(
        "tags, access lists, storage classes and locks of objects",
        "the bucket keeps them with its versions; a copy that comes back from the replica has none of them",
    )
    return Captured(datetime.fromtimestamp(moment / 1000, UTC), tools={"boto3": boto3.__version__})


class _Work:
    """The keys of a backup, one job each."""

    def __init__(
        self, replicator: Replicator, prefix: str, moment: int, uploads: Mapping[str, Sequence[int]], known: Known
    ) -> None:
        self._replicator, self._prefix, self._moment, self._uploads = replicator, prefix, moment, uploads
        self._known = known
        head = known.head
        comparable = head is not None and (head.bucket, head.prefix) == (replicator.here.bucket, prefix)
        self._before = head.moment if head is not None and comparable else 0

    def jobs(self) -> Iterator[Settled | Later[Settled]]:
        here, there = self._replicator.here, self._replicator.there
        for _, (versions, copies, rows) in side_by_side(
            by_key(here.history(self._prefix), f"bucket {here.bucket}"),
            by_key(there.history(self._prefix), f"replica {there.bucket}"),
            self._known.by_key(),
        ):
            if versions is None and rows is None:
                continue  # the replica alone has it: sent by a run that was killed, and deleted for good since
            own, notes = settled(versions or (), self._moment, self._uploads)
            listed = {version.id for version in versions or ()}
            if self._is_done(own, copies or (), rows or ()) and not notes and len(listed) == len(rows or ()):
                yield Settled(rows, None if not rows or rows[0].marker else rows[0])
            else:
                yield Later(functools.partial(self._settle, own, copies or (), rows or (), listed, notes))

    def _is_done(self, own: Sequence[Version], copies: Sequence[Version], rows: Sequence[Row]) -> bool:
        """The usual case: nothing has happened to the key since the last backup."""
        if len(own) != len(rows) or not own:
            return False
        there = {copy.id for copy in copies}
        return all(
            row.is_same(version) and (row.marker or row.copy in there) for row, version in zip(rows, own, strict=True)
        ) and (not copies or copies[0].marker == own[0].marker)

    def _settle(
        self, own: Sequence[Version], copies: Sequence[Version], rows: Sequence[Row], listed: set[str],
        notes: list[tuple[str, str]],
    ) -> Settled:  # fmt: skip
        there = {copy.id for copy in copies}
        known, claimed = {row.id: row for row in rows}, {row.copy for row in rows}
        found: list[Row] = []
        last = ""
        for version in reversed(own):  # oldest first, so that the copies lie in the same order
            row = known.get(version.id)
            row = row if row is not None and row.is_same(version) else None
            if version.marker or (row is not None and row.copy in there):
                found.append(row or Row.of(version, seen=self._moment))
                continue
            expected = row.digest if row is not None else ""
            brought = brought_or_gone(self._replicator, version, unclaimed(copies, claimed), expected)
            if brought is None:
                why = "deleted for good while it was being backed up"
                notes.append((f"version {version.id} of {version.key!r}", why))
                continue
            last = brought[1] if brought[1] not in there else last
            claimed.add(brought[1])
            found.append((row or self._new(version))._replace(digest=brought[0], copy=brought[1]))
        found.reverse()
        top = found[0] if found and own[0].id == found[0].id and not found[0].marker else None
        if own and own[0].marker and (last or (copies and not copies[0].marker)):
            self._replicator.there.delete(own[0].key)
        elif top is not None and last != top.copy and (last or (copies and copies[0].marker)):
            # Undeleted here; or something older came late, and lies on top there.
            self._replicator.there.copy_on_top(top.key, top.copy, top.size)
        lost = [
            row._replace(gone=row.gone or self._moment)
            for row in rows if row.id not in listed and (row.marker or row.copy in there)
        ]  # fmt: skip
        if lost and not all(row.marker for row in [*found, *lost]):
            found = sorted([*found, *lost], key=lambda row: -row.modified)
        return Settled(found, top, notes)

    def _new(self, version: Version) -> Row:
        """A version that no backup has seen; one that came late could have been seen by its time, and was not."""
        late = version.in_parts and version.modified < self._before and not self._known.broken
        return Row.of(version, seen=self._moment, absent=self._before if late else 0)


class _Notes:
    """What is left out, named up to a number."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, what: str, why: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= NAMED:
            self._sink.leave_out(what, why)

    def close(self) -> None:
        for kind, count in self._counts.items():
            if count > NAMED:
                self._sink.leave_out(f"{count - NAMED} more of kind {kind}", "as those that are named")
