"""Recovery points: named moments of a database's write-ahead log that a restore can be aimed at, and checked against.

newest point                                 the newest verifiable one
newest point before 2026-11-21T08:00+01:00   ... of that moment or older
lifeboat_20261121T070003Z_5fb0               exactly this one, whatever its kind

Each is an object beside the backups, written once: ``<system>/<source>/points/<time>-<name>.json``.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import AwareDatetime, ValidationError, model_validator

from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.model import Record
from include.recovery.catalog.picker import parse_moment
from include.recovery.errors import BackupCorrupt, BackupNotFound, PreconditionFailed
from include.recovery.evidence.once import read_once, write_once, written_once
from include.recovery.fingerprint.model import DatabaseFingerprint, NotCompared
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

_FOLDER = "points"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_FILE = re.compile(r"(?P<at>\d{8}T\d{6}\.\d{6}Z)-(?P<name>[A-Za-z0-9_]+)\.json")
_WISH = re.compile(r"newest point(?: (?:at or )?before (?P<before>\S+))?")
_SHOWN = 5

LARGE_OBJECTS = "large objects"
"""How ``not_compared`` names them, when they changed while the point was made."""


class Heartbeat(Record):
    """The row that is written into a source each minute.

    :param beat: counts up.
    :param at: by the clock of the source's server.
    """

    beat: int
    at: AwareDatetime


class RecoveryPoint(Record):
    """A named moment, and what the database held then.

    :param name: what ``recovery_target_name`` takes.
    :param kind: ``verifiable`` with a fingerprint of exactly this moment; ``heartbeat`` with the heartbeat alone, which
        tells how much a restore lost, and never that a copy is identical.
    :param at: by the clock of the source's server.
    :param lsn: where the log names it.
    :param waited_ms: the longest, in milliseconds, that one attempt may have kept a writer waiting.
    :param attempts: how often locks were asked for; 0 when they never were.
    :param not_compared: what the point does not cover, beyond what its fingerprint names.
    :param note: why it is no better than it is; for people.
    :param heartbeat: the newest row before the point; None where there was none.
    """

    schema_version: Literal[1] = 1
    system: str
    source: str
    name: str
    kind: Literal["verifiable", "heartbeat"]
    at: AwareDatetime
    lsn: str
    timeline: int
    system_identifier: str
    waited_ms: float
    attempts: int
    fingerprint: DatabaseFingerprint | None
    not_compared: tuple[NotCompared, ...] = ()
    note: str | None = None
    heartbeat: Heartbeat | None = None

    @model_validator(mode="after")
    def _fingerprint_by_kind(self) -> Self:
        if (self.kind == "verifiable") != (self.fingerprint is not None):
            raise ValueError("a verifiable point has a fingerprint, a heartbeat point has none")
        return self

    @property
    def key(self) -> str:
        """Where it is stored."""
        return f"{_folder(self.system, self.source)}{self.at.astimezone(UTC).strftime(_TIME)}-{self.name}.json"


@dataclass(frozen=True)
class PointKey:
    """A stored point, as far as its key tells.

    :param key: of the object, to read it by.
    """

    at: datetime
    name: str
    key: str


class RecoveryPoints:
    """The recovery points in one store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def record(self, point: RecoveryPoint) -> str:
        """Keep a point; keeping the same one again, as a retry does, changes nothing.

        :return: its key.
        :raises PreconditionFailed: when another point has its time and name.
        """
        data = point.model_dump_json(indent=1).encode()
        if not write_once(self._store, point.key, data) and read_once(self._store, point.key) != data:
            raise PreconditionFailed(
                f"store {self._store.name} has another recovery point {point.key}; points are never replaced: make a "
                "new one"
            )
        return point.key

    def listed(self, system: str, source: str) -> list[PointKey]:
        """All points of a source, newest first; one listing, and no point is read."""
        folder = _folder(system, source)
        found = []
        for key in written_once(self._store, folder):
            match = _FILE.fullmatch(key.removeprefix(folder))
            if match is not None:
                at = datetime.strptime(match["at"], _TIME).replace(tzinfo=UTC)
                found.append(PointKey(at, match["name"], key))
        return sorted(found, key=lambda entry: (entry.at, entry.name), reverse=True)

    def read(self, entry: PointKey) -> RecoveryPoint:
        """A point, as it was first written.

        :raises ObjectMissing: when there is none.
        :raises BackupCorrupt: when it cannot be read, or is not the one that belongs there.
        """
        try:
            point = RecoveryPoint.model_validate_json(read_once(self._store, entry.key))
        except ValidationError as error:
            first = error.errors()[0]
            raise BackupCorrupt(
                f"recovery point {entry.key} in store {self._store.name}: "
                f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}; it is damaged or of a newer Lifeboat: "
                "pick another point, or update"
            ) from error
        if point.key != entry.key:
            raise BackupCorrupt(
                f"recovery point {entry.key} in store {self._store.name} says that it is {point.key}: it was moved or "
                "edited; pick another point"
            )
        return point

    def pick(self, system: str, source: str, wish: str, now: datetime) -> RecoveryPoint:
        """The point that a wish names.

        :param now: points from the future are left out, as a clock that is wrong makes them.
        :raises BackupNotFound: when none fits, saying which were skipped and why.
        """
        what = f"{system}/{source}"
        entries = self.listed(system, source)
        match = _WISH.fullmatch(" ".join(wish.split()))
        if match is None:
            return self._named(entries, wish.strip(), what)
        before = parse_moment(match["before"]) if match["before"] else now
        skipped: list[str] = []
        for entry in entries:
            if entry.at > min(before, now):
                continue
            try:
                point = self.read(entry)
            except BackupCorrupt as error:
                _log.warning("%s", error)
                skipped.append(f"{entry.name}: it cannot be read")
                continue
            if point.kind == "verifiable":
                return point
            skipped.append(f"{entry.name}: {point.note or 'it has only a heartbeat'}")
        raise BackupNotFound(_nothing(entries, what, skipped, min(before, now)))

    def _named(self, entries: list[PointKey], name: str, what: str) -> RecoveryPoint:
        for entry in entries:
            if entry.name == name:
                return self.read(entry)
        raise BackupNotFound(
            f"{what} has no recovery point {name!r}; ask for a name from the list, 'newest point', or 'newest point "
            "before <time with zone>'"
        )


def _folder(system: str, source: str) -> str:
    return source_prefix(system, source, _FOLDER)


def _nothing(entries: list[PointKey], what: str, skipped: list[str], before: datetime) -> str:
    if not entries:
        return f"{what} has no recovery points; make one first"
    if not skipped:
        oldest = min(entry.at for entry in entries)
        return f"{what} has no point from {before.isoformat()} or earlier; the oldest is from {oldest.isoformat()}"
    more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
    reasons = "; ".join(skipped[:_SHOWN]) + more
    return f"{what} has no verifiable point from {before.isoformat()} or earlier; skipped {reasons}"
