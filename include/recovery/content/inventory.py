"""Items in order, counted and digested as they pass; and the part of a backup that lists them, a line each.

Flat memory: neither side ever holds more than one item. So items come sorted by the bytes of their names, from a source
as from a copy; whoever lists them sees to it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from include.recovery.content.model import ContentFingerprint, Item
from include.recovery.errors import BackupCorrupt, LifeboatError
from include.recovery.fingerprint.model import NotCompared

PART = "inventory"
"""Name and role of the part."""

_TYPES = [str, str, int, str]


class Tally:
    """Counts and digests items, and refuses disorder."""

    def __init__(self) -> None:
        self._digest = hashlib.sha512()
        self._last: bytes | None = None
        self.items = self.size = 0

    def add(self, item: Item) -> bytes:
        """Take the next item in.

        :return: its line of the inventory.
        :raises LifeboatError: when it does not come behind the one before.
        """
        order = item.order
        if self._last is not None and order <= self._last:
            raise LifeboatError(
                f"the items of a source are listed in the order of their names, each once; {item.name!r} came behind "
                f"{self._last!r}: this is a mistake in Lifeboat, report it"
            )
        self._last = order
        self.items += 1
        self.size += item.size
        self._digest.update(_line(item.name, item.digest, item.size))
        return line_of(item)

    def fingerprint(self, not_compared: Iterable[NotCompared] = ()) -> ContentFingerprint:
        """Over all items so far."""
        return ContentFingerprint(
            items=self.items, size=self.size, sha512=self._digest.hexdigest(), not_compared=tuple(not_compared)
        )


def measured(items: Iterable[Item], not_compared: Iterable[NotCompared] = ()) -> ContentFingerprint:
    """The fingerprint over items that come in order."""
    tally = Tally()
    for item in items:
        tally.add(item)
    return tally.fingerprint(not_compared)


def read_items(stream: BinaryIO, where: str) -> Iterator[Item]:
    """The items of an inventory, one by one.

    :param where: for messages.
    :raises BackupCorrupt: when a line is none of an inventory.
    """
    for line in io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream:
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise BackupCorrupt(f"{where}: a line of the inventory cannot be read: {line[:80]!r}") from error
        if not isinstance(fields, list) or [type(field) for field in fields] != _TYPES:
            raise BackupCorrupt(f"{where}: a line of the inventory cannot be read: {line[:80]!r}")
        yield Item(*fields)


def line_of(item: Item) -> bytes:
    """An item as a line of an inventory."""
    return _line(item.name, item.digest, item.size, item.at)


def _line(*fields: str | int) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
