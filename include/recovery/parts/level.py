"""Which level of compression pays for a stream, by a look at how it begins.

A higher level looks longer for repetitions. In what has none (pictures, encrypted or random bytes) and in what is full
of short ones (logs, JSON) it takes up to ten times as long as level 1 and gains nothing, or even loses. On prose it
gains a quarter. Rows of one table are alike, so its first megabyte tells.
"""

from __future__ import annotations

from typing import BinaryIO

import zstandard

PROBE_BYTES = 1024 * 1024
FAST = 1
WORTH_IT = 0.97
"""A level must make the sample at least this much smaller than level 1 does."""


def paying_level(sample: bytes, level: int) -> int:
    """The policy's level, or level 1 where that one gains nothing.

    :param sample: how the stream begins; level 1 is only taken for one of a whole ``PROBE_BYTES``.
    """
    if level <= FAST or len(sample) < PROBE_BYTES:
        return level
    sizes = [len(zstandard.ZstdCompressor(level=tried).compress(sample)) for tried in (FAST, level)]
    return level if sizes[1] < sizes[0] * WORTH_IT else FAST


def beginning_of(stream: BinaryIO) -> bytes:
    """The first ``PROBE_BYTES`` of a stream (a pipe gives what it has), fewer only when there are no more."""
    pieces = []
    wanted = PROBE_BYTES
    while wanted and (piece := stream.read(wanted)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)


class Resumed:
    """A stream that begins with what was read of it already."""

    def __init__(self, beginning: bytes, rest: BinaryIO) -> None:
        self._beginning, self._rest = beginning, rest

    def read(self, size: int = -1) -> bytes:
        """The next bytes: first those of the beginning, all at once."""
        if self._beginning:
            data, self._beginning = self._beginning, b""
            return data
        return self._rest.read(size)
