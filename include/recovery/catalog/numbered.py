"""A row of objects with rising numbers, of which the newest counts: the catalog's only concurrency primitive.

Whoever writes number *n* + 1 first wins, and the others find out at once. It needs nothing of a store but "write if
absent", which holds everywhere (``stores/s3.py``), while ``If-Match`` fails on radosgw's versioned buckets. A number
is written once; nothing is ever overwritten, so a reader never sees half of two writers.

Keys count downwards, so that the newest comes first in a listing, even where object lock keeps the old ones for years.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from include.recovery.errors import ObjectLocked
from include.recovery.stores.port import ObjectStore

_DIGITS = 12
_CEILING = 10**_DIGITS - 1


@dataclass(frozen=True)
class Slot:
    """One number's object, as its first writer wrote it."""

    number: int
    key: str
    version: str


class Numbered:
    """The objects below one prefix.

    :param prefix: with a trailing slash; holds nothing else.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def newest(self) -> Slot | None:
        """The highest number; one request. Delete markers are seen through."""
        return next(self._slots(), None)

    def read(self, slot: Slot) -> bytes:
        """A slot's content."""
        return self._store.get(slot.key, slot.version)[0]

    def write(self, number: int, data: bytes) -> None:
        """Claim a number.

        :raises PreconditionFailed: when somebody else was first.
        """
        self._store.put(self.key(number), data, if_absent=True)

    def prune(self, below: int) -> None:
        """Remove lower numbers for good, as far as object lock allows."""
        for version in self._store.versions(self._prefix):
            number = self._number(version.key)
            if number is None or number >= below:
                continue
            try:
                self._store.delete(version.key, version.id)
            except ObjectLocked:
                return

    def key(self, number: int) -> str:
        """Where a number is stored."""
        return numbered_key(self._prefix, number)

    def _number(self, key: str) -> int | None:
        """None for an object that is not one of ours."""
        name = key.removeprefix(self._prefix)
        return _CEILING - int(name) if len(name) == _DIGITS and name.isdecimal() else None

    def _slots(self) -> Iterator[Slot]:
        for key, versions in groupby(self._store.versions(self._prefix), key=lambda version: version.key):
            number = self._number(key)
            real = [version for version in versions if not version.marker]
            if real and number is not None:
                # Versions come newest first; whoever wrote the oldest was first.
                yield Slot(number, key, real[-1].id)


def numbered_key(prefix: str, number: int) -> str:
    """The key of a number below a prefix."""
    return f"{prefix}{_CEILING - number:0{_DIGITS}d}"
