"""Everything that is compared: HEAD, the files of the archive, objects of Git LFS, the history's objects, all refs.

The objects of the history are one item: their number, and a sum over the hashes of their names. So their order does not
matter, nothing has to be sorted or kept, and one object more or less shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from include.recovery.content.model import Item
from include.recovery.errors import SourceError
from include.recovery.git.refs import HEAD, Refs
from include.recovery.git.tool import Git

OBJECTS = "objects"
_MODULUS = 1 << 512


@dataclass(frozen=True)
class Objects:
    """All objects that any ref or HEAD leads to.

    :param size: bytes of their contents, as they are without compression.
    """

    count: int
    size: int
    digest: str

    @property
    def item(self) -> Item:
        """For the inventory."""
        return Item(OBJECTS, f"{self.count} objects {self.digest}", self.size)


def measure_objects(git: Git, folder: Path) -> Objects:
    """Count, measure and digest every object that can be reached.

    :raises SourceError: naming one that is missing.
    """
    count = size = total = 0
    with git.piped(
        ("rev-list", "--all", "--objects", "--no-object-names"),
        ("cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer"),
        doing="walking its history", at=folder,
    ) as lines:  # fmt: skip
        for line in lines:
            name, _, bytes_of = line.partition(b" ")
            if not bytes_of[:1].isdigit():
                raise SourceError(f"{git.where}: object {name.decode()} is missing; restore it from the newest backup")
            count += 1
            size += int(bytes_of)
            total += int.from_bytes(hashlib.sha512(name).digest(), "big")
    return Objects(count, size, f"{total % _MODULUS:0128x}")


def in_order(refs: Refs, files: Iterable[Item], large: Iterable[Item], objects: Objects) -> Iterator[Item]:
    """All items, by the bytes of their names: ``HEAD``, ``archive/...``, ``lfs/...``, ``objects``, ``refs/...``."""
    if refs.head:
        yield Item(HEAD, refs.head)
    yield from files
    yield from large
    yield objects.item
    for ref in refs.refs:
        yield Item(ref.name, ref.digest)
