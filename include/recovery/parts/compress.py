"""Compression of a stream by zstd, in frames of a few megabytes, at the level that pays.

**Frames.** Each 4 MiB become a frame of their own. Compressing them at once, out of one buffer, is a third faster than
feeding a window bit by bit, and costs a fiftieth in size at level 3, nothing at level 1. One frame after the other is a
stream like any other to every reader of zstd.

**Level.** A higher level looks longer for repetitions. In what has none (pictures, encrypted or random bytes) and in
what is full of short ones (logs, JSON) it takes up to ten times as long as level 1 and gains nothing, or even loses. On
prose it gains a quarter. Rows of one table are alike, so a look at a frame now and then tells.
"""

from __future__ import annotations

from typing import BinaryIO

import zstandard

FRAME_BYTES = 4 * 1024 * 1024
LOOK_EVERY = 32
"""Frames between two looks at whether the level pays."""
FAST = 1
WORTH_IT = 0.97
"""A level must make a frame at least this much smaller than level 1 does."""


class Compressed:
    """What a stream becomes, to be read once from start to end.

    :param stream: may give less than asked for, as a pipe does; nothing only at its end.
    :param level: the policy's; level 1 is taken where this one gains nothing.
    """

    def __init__(self, stream: BinaryIO, level: int) -> None:
        self._stream = stream
        self._wanted = _compressor(level)
        self._fast = _compressor(FAST) if level > FAST else None
        self._pays = True
        self._count = 0
        self._ready: memoryview = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer only at the end."""
        pieces: list[memoryview] = []
        wanted = size
        while wanted != 0 and (self._ready or self._next_frame()):
            piece = self._ready if wanted < 0 else self._ready[:wanted]
            self._ready = self._ready[len(piece) :]
            wanted -= len(piece) if wanted > 0 else 0
            pieces.append(piece)
        return b"".join(pieces)

    def _next_frame(self) -> bool:
        content = _full(self._stream, FRAME_BYTES)
        # An empty stream is one empty frame, which says that nothing is missing.
        if not content and self._count:
            return False
        frame = self._frame(content)
        # zstd's answer keeps the memory of the worst case; many small ones are held at once.
        self._ready = memoryview(frame if len(frame) > FRAME_BYTES // 4 else memoryview(frame).tobytes())
        self._count += 1
        return True

    def _frame(self, content: bytes) -> bytes:
        if self._fast is None:
            return self._wanted.compress(content)
        if self._count % LOOK_EVERY == 0:
            fast, wanted = self._fast.compress(content), self._wanted.compress(content)
            self._pays = len(wanted) < len(fast) * WORTH_IT
            return min(fast, wanted, key=len)
        return (self._wanted if self._pays else self._fast).compress(content)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=True)


def _full(stream: BinaryIO, size: int) -> bytes:
    """So many bytes of a stream, fewer only at its end."""
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
