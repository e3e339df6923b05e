"""Moments: which second a backup is of, what was current at a moment, and where that cannot be told.

Two things blur a bucket's history. The time of a version (Last-Modified) may be in whole seconds. And on AWS the time
of a multipart upload is when it *began*: the object appears later, with a time before its birth. So:

- A backup's moment is the turn of a second by the service's own clock, and is waited for: all that bears an earlier
  time was stored before it. The uploads in progress around it are listed; what comes of them is the next backup's.
- For any other moment, what the backups have seen decides (``Row.seen``, ``Row.absent``, ``Row.gone``); what they
  cannot decide is named.

Times here are milliseconds since 1970.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from include.recovery.errors import SourceUnavailable
from include.recovery.jobs import Stopped
from include.recovery.objects.history import Row
from include.recovery.objects.listing import Version
from include.recovery.stores.port import UnfinishedUpload

SECOND = 1000
UPLOADS_LAST = 24 * 3600 * SECOND
"""For so long after its time, an upload in parts may have been still in progress, as far as anybody can tell."""
_PATIENCE = timedelta(seconds=30)
_POLL = 0.1


class Clock(Protocol):
    """A bucket, as far as its clock goes."""

    def clock(self) -> datetime: ...


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return round(moment.timestamp() * 1000)


def shown(moment: int) -> str:
    """For people."""
    exact = "milliseconds" if moment % SECOND else "seconds"
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec=exact)


def next_second(bucket: Clock, stop: threading.Event) -> int:
    """The next turn of a second by the service's clock, once it is past; takes about a second.

    :raises SourceUnavailable: when that clock stands still.
    :raises Stopped: when the event is set.
    """
    moment = bucket.clock() + timedelta(seconds=1)
    for _ in range(int(_PATIENCE.total_seconds() / _POLL)):
        if bucket.clock() >= moment:
            return milliseconds(moment)
        if stop.wait(_POLL):
            raise Stopped
    raise SourceUnavailable(f"the clock of the service (header Date) stands still at {moment}; try again")


def begun(uploads: Iterable[UnfinishedUpload]) -> dict[str, list[int]]:
    """When uploads began, by key."""
    found: dict[str, list[int]] = defaultdict(list)
    for upload in uploads:
        found[upload.key].append(milliseconds(upload.started))
    return found


def settled(
    versions: Sequence[Version], moment: int, uploads: Mapping[str, Sequence[int]]
) -> tuple[list[Version], list[tuple[str, str]]]:
    """The versions of a key that were there at a backup's moment, and what there is to say of the others.

    :param versions: of one key, newest first.
    :param uploads: those that were in progress around the moment.
    :return: also pairs of what and why, for the manifest.
    """
    there, notes = [], []
    for version in versions:
        if version.modified >= moment:
            continue
        if version.in_parts:
            if any(abs(version.modified - each) <= SECOND for each in uploads.get(version.key, ())):
                notes.append((
                    f"version {version.id} of {version.key!r}",
                    "its multipart upload was in progress at the backup's moment; the next backup has it",
                ))  # fmt: skip
                continue
            if version.modified >= moment - 2 * SECOND:
                notes.append((
                    f"exact moment of version {version.id} of {version.key!r}",
                    "its multipart upload began within two seconds of the backup's moment, and may have been completed "
                    "right after it; the backup has it",
                ))  # fmt: skip
        there.append(version)
    return there, notes


def merged(versions: Sequence[Version], rows: Sequence[Row]) -> list[Row]:
    """All that is known of a key's versions, newest first: as it is listed now, and what only a backup still knows.

    :param rows: of the newest backup.
    """
    known = {row.id: row for row in rows}
    now = [
        row if (row := known.get(version.id)) is not None and row.is_same(version) else Row.of(version)
        for version in versions
    ]
    listed = {(version.id, version.modified) for version in versions}
    lost = [row for row in rows if (row.id, row.modified) not in listed]
    # Only where versions are lost their times decide: the order of the listing is better where it is whole.
    return sorted(now + lost, key=lambda row: -row.modified) if lost else now


def current(rows: Sequence[Row], moment: int) -> tuple[Row | None, str]:
    """What a key held at a moment: everything that was stored before it counts.

    :param rows: newest first.
    :return: the version, None when there was none (or only a delete marker on top); and why that is in doubt, if it is.
    """
    doubt = ""
    for row in rows:
        if row.modified >= moment or (row.gone and row.gone <= moment):
            continue
        if row.absent >= moment:
            doubt = (
                f"version {row.id} says {shown(row.modified)}, but the backup of {shown(row.absent)} did not have it: "
                "its multipart upload was completed later, so it is not counted"
            )
            continue
        return (None if row.marker else row), _doubt(row, moment) or doubt
    return None, doubt


def _doubt(row: Row, moment: int) -> str:
    if moment % SECOND and row.modified == moment // SECOND * SECOND:
        return (
            f"version {row.id} is of the same second as the moment, and the service tells no more; it is counted, "
            "choose a whole second to be sure"
        )
    unseen = not row.seen or row.seen > moment
    if row.marker or "-" not in row.etag or not unseen or moment - row.modified > UPLOADS_LAST:
        return ""
    return (
        f"version {row.id} came as a multipart upload that may have begun at {shown(row.modified)}, and no backup "
        "tells whether it was complete at the moment; it is counted"
    )
