"""The archive that a raft snapshot is: a tar.gz of ``meta.json``, ``state.bin`` and their SHA-256 sums."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from include.recovery.content.model import Item
from include.recovery.errors import LifeboatError

_BLOCK = 1024 * 1024
_SMALL = 1024 * 1024
_STATE, _META, _SUMS = "state.bin", "meta.json", "SHA256SUMS"


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot says of itself, and its own sums confirm.

    :param index: of the last entry of the raft log that is in it; with ``term``, its moment.
    :param state: SHA-256 of the state.
    :param size: bytes of the state.
    """

    index: int
    term: int
    state: str
    size: int

    def items(self) -> Iterator[Item]:
        """As items, in order."""
        yield Item("snapshot/position", f"index {self.index} term {self.term}")
        yield Item("snapshot/state", self.state, self.size)


def read(
    stream: BinaryIO, where: str, wrong: type[LifeboatError], *, begun: Callable[[int], None] | None = None
) -> Snapshot:
    """Read a snapshot to its end and check it by its own sums; flat memory.

    :param where: for messages.
    :param wrong: what to raise when it is no whole snapshot.
    :param begun: told the index before the state is read.
    """
    sums: dict[str, str] = {}
    found: dict[str, str] = {}
    meta: dict[str, Any] = {}
    size = 0
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None:
                    continue
                if member.name == _STATE:
                    size = member.size
                    found[_STATE] = _digest(cast("BinaryIO", content))
                    continue
                data = content.read(_SMALL)
                if member.name == _SUMS:
                    lines = (line.split() for line in data.decode().splitlines() if line.strip())
                    sums = {name: digest for digest, name in lines}
                elif member.name == _META:
                    found[_META] = hashlib.sha256(data).hexdigest()
                    meta = json.loads(data)
                    if begun is not None:
                        begun(int(meta["Index"]))
            while plain.read(_BLOCK):  # to its checksum
                pass
        while stream.read(_BLOCK):
            pass
        position = int(meta["Index"]), int(meta["Term"])
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise wrong(f"{where}: what came is no whole raft snapshot ({error or type(error).__name__})") from error
    lacking = [name for name in (_META, _STATE) if name not in found or name not in sums]
    other = [name for name, digest in found.items() if sums.get(name, digest) != digest]
    if lacking or other:
        what = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(other)} that is not what its sums say"
        raise wrong(f"{where}: the raft snapshot {what}; do not use it, take a new one")
    return Snapshot(*position, found[_STATE], size)


class Tee:
    """A stream that keeps what is read from it until it is told where to, and passes on the rest."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._kept, self._to = stream, bytearray(), cast("BinaryIO | None", None)

    def pour_into(self, to: BinaryIO) -> None:
        """From the beginning on."""
        to.write(self._kept)
        self._kept.clear()
        self._to = to

    def read(self, size: int = -1) -> bytes:
        """Read, and pass on."""
        data = self._stream.read(size)
        if self._to is None:
            self._kept += data
        else:
            self._to.write(data)
        return data


def _digest(content: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := content.read(_BLOCK):
        digest.update(block)
    with suppress(OSError):
        content.close()
    return digest.hexdigest()
