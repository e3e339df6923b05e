"""Keys as items: digests over what a key holds and when it expires, not over how a version of Redis encodes it.

``DUMP`` would be shorter, but its bytes depend on the version, on thresholds of the configuration and on the seed of
each server's hash tables. So lists, sorted sets and streams are digested in their order, sets and hashes as a sum over
their members. Large ones are read in pieces; small ones, many keys at a time.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from include.recovery.content.model import Item
from include.recovery.errors import SourceError
from include.recovery.redis.connect import Link

NEVER = -1
"""Expiry of a key that has none."""
SMALL = 64 * 1024
"""Bytes of a key, as Redis estimates them, up to which it is read at once."""
TOGETHER = 4 * 1024 * 1024
"""Bytes of small keys that are asked for in one go."""
PIECE = 1000
_WHOLE: dict[bytes, tuple[str, tuple[Any, ...]]] = {
    b"string": ("GET", ()),
    b"list": ("LRANGE", (0, -1)),
    b"set": ("SMEMBERS", ()),
    b"hash": ("HGETALL", ()),
    b"zset": ("ZRANGE", (0, -1, "WITHSCORES")),
}


@dataclass(frozen=True)
class Held:
    """What a key holds.

    :param digest: over type and content.
    :param size: bytes of it.
    """

    digest: bytes
    size: int


def name_of(database: int, key: bytes) -> str:
    """``db0/<key>``; bytes that are no UTF-8 become surrogates."""
    return f"db{database}/" + key.decode("utf-8", "surrogateescape")


def key_of(name: str) -> tuple[int, bytes]:
    """Database and key of an item's name."""
    database, _, key = name.partition("/")
    return int(database[2:]), key.encode("utf-8", "surrogateescape")


def item_of(database: int, key: bytes, held: Held, expires: int) -> Item:
    """A key with its expiry, which ``at`` says again in words that a program can read.

    :param expires: milliseconds since 1970, or ``NEVER``.
    """
    digest = hashlib.sha256(held.digest + b"%d" % expires).hexdigest()[:32]
    return Item(name_of(database, key), digest, held.size, str(expires))


def held_by(link: Link, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Held]]:
    """What keys hold; one that is not there is not in the answer.

    :raises SourceError: for a type that is not known here.
    """
    answers = link.many([command for key in keys for command in (("TYPE", key), ("MEMORY", "USAGE", key))])
    small: list[tuple[bytes, bytes]] = []
    together = 0
    for key, kind, size in zip(keys, answers[::2], answers[1::2], strict=True):
        if kind == b"none" or size is None:
            continue
        if kind not in _WHOLE or size > SMALL:
            yield key, _large(link, key, kind)
            continue
        small.append((key, kind))
        together += size
        if together > TOGETHER:
            yield from _small(link, small)
            small, together = [], 0
    yield from _small(link, small)


def _small(link: Link, keys: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, Held]]:
    answers = link.many([(_WHOLE[kind][0], key, *_WHOLE[kind][1]) for key, kind in keys]) if keys else []
    for (key, kind), answer in zip(keys, answers, strict=True):
        if answer is None:
            continue
        if kind == b"string":
            yield key, _in_order(kind, [answer])
        elif kind in (b"set", b"hash"):
            yield key, _in_any_order(kind, _members(kind, answer))
        else:
            yield key, _in_order(kind, _scored(answer) if kind == b"zset" else answer)


def _large(link: Link, key: bytes, kind: bytes) -> Held:
    if kind == b"string":
        size = link.call("STRLEN", key)
        pieces = (link.call("GETRANGE", key, at, at + (1 << 20) - 1) for at in range(0, size, 1 << 20))
        return _in_order(kind, pieces)
    if kind == b"list":
        return _in_order(kind, _ranges(link, "LRANGE", key, link.call("LLEN", key)))
    if kind == b"zset":
        return _in_order(kind, _scored(_ranges(link, "ZRANGE", key, link.call("ZCARD", key), "WITHSCORES")))
    if kind in (b"set", b"hash"):
        return _scanned(link, key, kind)
    if kind == b"stream":
        return _in_order(kind, _stream(link, key))
    raise SourceError(
        f"key {key!r} is of type {kind.decode()}, which comes from a module and cannot be compared; keep it elsewhere"
    )


def _ranges(link: Link, command: str, key: bytes, length: int, *options: str) -> Iterator[bytes]:
    for at in range(0, length, PIECE):
        yield from link.call(command, key, at, at + PIECE - 1, *options)


def _scored(flat: Iterable[bytes]) -> Iterator[bytes]:
    """Members and scores, the scores as the numbers they are: each version prints them in its own way."""
    pairs = iter(flat)
    for member in pairs:
        yield member
        yield struct.pack(">d", float(next(pairs)))


def _members(kind: bytes, flat: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    if kind == b"set":
        return ((member,) for member in flat)
    return zip(flat[::2], flat[1::2], strict=True)


def _scanned(link: Link, key: bytes, kind: bytes) -> Held:
    """A large set or hash. A scan may give a member twice while Redis enlarges the table: then all are read at once."""
    scan, count, whole = ("SSCAN", "SCARD", "SMEMBERS") if kind == b"set" else ("HSCAN", "HLEN", "HGETALL")
    found = 0

    def members() -> Iterator[tuple[bytes, ...]]:
        nonlocal found
        cursor = b""
        while cursor != b"0":
            cursor, flat = link.call(scan, key, cursor or b"0", "COUNT", PIECE)
            for member in _members(kind, flat):
                found += 1
                yield member

    held = _in_any_order(kind, members())
    return held if found == link.call(count, key) else _in_any_order(kind, _members(kind, link.call(whole, key)))


def _stream(link: Link, key: bytes) -> Iterator[bytes]:
    """Entries, then what the stream knows of itself, its groups, their consumers, and what waits for them."""
    after = b"-"
    while entries := link.call("XRANGE", key, after, "+", "COUNT", PIECE):
        for identifier, fields in entries:
            yield identifier
            yield _packed(fields or [])
        after = b"(" + entries[-1][0]
    about = _fields(link.call("XINFO", "STREAM", key))
    for name in (b"last-generated-id", b"max-deleted-entry-id", b"entries-added"):
        yield _text(about.get(name))
    groups = sorted((_fields(group) for group in link.call("XINFO", "GROUPS", key)), key=lambda group: group[b"name"])
    for group in groups:
        yield _packed([_text(group.get(name)) for name in (b"name", b"last-delivered-id", b"entries-read")])
        consumers = [_fields(each)[b"name"] for each in link.call("XINFO", "CONSUMERS", key, group[b"name"])]
        yield _packed(sorted(consumers))
        after = b"-"
        while waiting := link.call("XPENDING", key, group[b"name"], after, "+", PIECE):
            for identifier, consumer, _, deliveries in waiting:  # how long it waits says the clock, not the content
                yield _packed([identifier, consumer, _text(deliveries)])
            after = b"(" + waiting[-1][0]


def _fields(flat: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _packed(parts: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack(">Q", len(part)) + part for part in parts)


def _in_order(kind: bytes, parts: Iterable[bytes]) -> Held:
    digest, size = hashlib.sha256(kind), 0
    for part in parts:
        if kind != b"string":  # where one part ends counts, but for the pieces that a long string is read in
            digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
        size += len(part)
    return Held(digest.digest(), size)


def _in_any_order(kind: bytes, members: Iterable[tuple[bytes, ...]]) -> Held:
    total = size = count = 0
    for member in members:
        total = (total + int.from_bytes(hashlib.sha256(_packed(member)).digest(), "big")) % (1 << 256)
        size += sum(map(len, member))
        count += 1
    return Held(hashlib.sha256(kind + struct.pack(">Q", count) + total.to_bytes(32, "big")).digest(), size)
