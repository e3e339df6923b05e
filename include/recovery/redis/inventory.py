"""All items of a scratch server: the keys of every logical database, and the libraries of functions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from include.recovery.content.model import Item
from include.recovery.content.sorting import Sorter
from include.recovery.errors import SourceError
from include.recovery.fingerprint.model import NotCompared
from include.recovery.jobs import Stopped
from include.recovery.redis.connect import Link, databases
from include.recovery.redis.content import NEVER, held_by, item_of
from include.recovery.redis.scratch import EXPIRES

FUNCTIONS = "functions/"
_BATCH = 500
NOT_COMPARED = (
    NotCompared(
        object="pending entries of streams: time of the last delivery",
        why="it is kept, but only shown as an age, which goes on",
    ),
    NotCompared(object="how often and how recently keys were used", why="reading changes it"),
)


@dataclass(frozen=True)
class Library:
    """Functions that were loaded together."""

    name: str
    code: bytes

    @property
    def item(self) -> Item:
        """As it is compared."""
        return Item(FUNCTIONS + self.name, hashlib.sha256(self.code).hexdigest()[:32], len(self.code))


def all_items(socket: str, stop: threading.Event) -> Iterator[Item]:
    """Everything that a scratch server holds, in order.

    :raises SourceError: when keys cannot be told apart, or are fewer than the server says.
    """
    with Sorter() as sorter, Link.local(socket) as first:
        for library in libraries(first):
            sorter.add(library.item)
        expected = 0
        for database in databases(first):
            with Link.local(socket, database) as link:
                expected += link.call("DBSIZE") - link.call("EXISTS", EXPIRES)
                for keys in scanned(link):
                    if stop.is_set():
                        raise Stopped
                    for item in _items(link, database, keys):
                        sorter.add(item)
        keys_found = 0
        for item in sorter.sorted(repeated=True):
            keys_found += not item.name.startswith(FUNCTIONS)
            yield item
        if keys_found != expected:
            raise SourceError(
                f"the scratch server holds {expected} keys and gave {keys_found}; this is a mistake in Lifeboat, "
                "report it"
            )


def scanned(link: Link, pattern: str = "*") -> Iterator[list[bytes]]:
    """The keys of a scratch server's database, many at a time; some may come twice."""
    cursor = b""
    while cursor != b"0":
        cursor, keys = link.call("SCAN", cursor or b"0", "MATCH", pattern, "COUNT", _BATCH)
        if keys := [key for key in keys if key != EXPIRES]:
            yield keys


def expiries(link: Link, keys: Sequence[bytes]) -> dict[bytes, int]:
    """When the keys of a scratch server's database expire: milliseconds since 1970, or ``NEVER``."""
    found = link.call("HMGET", EXPIRES, *keys)
    return {key: NEVER if at is None else int(at) for key, at in zip(keys, found, strict=True)}


def libraries(link: Link) -> list[Library]:
    """The functions of a server."""
    found = []
    for flat in link.call("FUNCTION", "LIST", "WITHCODE"):
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        found.append(Library(fields[b"library_name"].decode(), fields[b"library_code"]))
    return found


def _items(link: Link, database: int, keys: Sequence[bytes]) -> Iterator[Item]:
    when = expiries(link, keys)
    for key, held in held_by(link, keys):
        yield item_of(database, key, held, when[key])
