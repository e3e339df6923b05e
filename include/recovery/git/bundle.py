"""The bundle: a header that lists refs, then a pack with everything that they lead to (gitformat-bundle).

The header is written here, from refs that were frozen before, and the pack by ``git pack-objects``. ``git bundle create
--all`` would read the refs once more by itself; and it leaves out ``refs/heads/main`` without a word where there is
also a ``refs/heads/refs/heads/main`` [tried with git 2.39]. Any git clones from such a file all the same.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO, NamedTuple

from include.recovery.errors import BackupCorrupt
from include.recovery.git.refs import HEAD, Refs

PART = "bundle"
_SIGNATURES = {b"# v2 git bundle\n": 2, b"# v3 git bundle\n": 3}
_LONGEST = 64 * 1024


class Header(NamedTuple):
    """What a bundle says of itself.

    :param refs: name to object id; HEAD is among them where it leads to a commit.
    """

    object_format: str
    refs: dict[str, str]


def header(refs: Refs) -> bytes:
    """The beginning of a bundle of these refs."""
    lines = [b"# v2 git bundle"] if refs.object_format == "sha1" else [b"# v3 git bundle", b"@object-format=sha256"]
    if refs.head_id is not None:
        lines.append(f"{refs.head_id} {HEAD}".encode())
    lines += [ref.object_id.encode() + b" " + ref.order for ref in refs.refs]
    return b"\n".join([*lines, b"", b""])


def read_header(stream: BinaryIO, where: str) -> Header:
    """Read the beginning of a bundle; the stream then stands at its pack.

    :param where: for messages.
    :raises BackupCorrupt: when it is no bundle, or one that needs objects from elsewhere.
    """
    number = _SIGNATURES.get(stream.readline(_LONGEST))
    if number is None:
        raise BackupCorrupt(f"{where}: its bundle does not begin as a bundle of git does; use another copy")
    object_format, refs = "sha1", {}
    while (line := stream.readline(_LONGEST)) != b"\n":
        if number == 3 and line.startswith(b"@object-format="):
            object_format = line.partition(b"=")[2].decode().strip()
            continue
        object_id, space, name = line.partition(b" ")
        if not space or not line.endswith(b"\n") or len(object_id) != (40 if object_format == "sha1" else 64):
            raise BackupCorrupt(f"{where}: a line of its bundle's header is no ref: {line[:80]!r}; use another copy")
        refs[os.fsdecode(name[:-1])] = object_id.decode()
    return Header(object_format, refs)


class Joined(io.RawIOBase):
    """Some bytes, and behind them a stream."""

    def __init__(self, first: bytes, then: BinaryIO) -> None:
        self._first, self._then = memoryview(first), then

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from one of the two; 0 at the end of the stream."""
        if not self._first:
            return int(self._then.readinto(buffer))  # type: ignore[attr-defined]  # every binary stream of io has it
        count = min(len(buffer), len(self._first))
        memoryview(buffer)[:count] = self._first[:count]
        self._first = self._first[count:]
        return count
