"""Compression of a stream by zstd, in frames of a few megabytes, at the level that pays.

**Frames.** Each 4 MiB become a frame of their own. Compressing them at once, out of one buffer, is a third faster than
feeding a window bit by bit, and costs a fiftieth in size at level 3, nothing at level 1. One frame after the other is a
stream like any other to every reader of zstd.

**Ahead.** Two frames are compressed by threads of their own while the caller reads the next one and encrypts the one
before: a single large table keeps more than one core busy. Buffers are reused; what is in flight is two frames.

**Level.** A higher level looks longer for repetitions. In what has none (pictures, encrypted or random bytes) and in
what is full of short ones (logs, JSON) it takes up to ten times as long as level 1 and gains nothing, or even loses. On
prose it gains a quarter. Rows of one table are alike, so a look at a frame now and then tells.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

import zstandard

FRAME_BYTES = 4 * 1024 * 1024
LOOK_EVERY = 32
"""Frames between two looks at whether the level pays."""
FAST = 1
WORTH_IT = 0.97
"""A level must make a frame at least this much smaller than level 1 does."""
AHEAD = 2
"""Frames that are compressed while the caller works on another one."""


class Content(Protocol):
    """What is compressed."""

    def readinto(self, buffer: memoryview) -> int | None:
        """Fill the beginning of a buffer, as much as there is, as a pipe does; 0 at the end."""
        ...


class Compressed:
    """What a stream becomes, to be read once from start to end. Close it: its threads end.

    :param stream: read in the caller's thread.
    :param level: the policy's; level 1 is taken where this one gains nothing.
    """

    def __init__(self, stream: Content, level: int) -> None:
        self._stream = stream
        self._lanes = [_Lane(level) for _ in range(AHEAD)]
        self._chooses = level > FAST
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="zstd")
        self._ahead: deque[Future[bytes]] = deque()
        self._pays = True
        self._count = 0
        self._at_end = False
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
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Forget what is under way, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_frame(self) -> bool:
        while not self._at_end and len(self._ahead) < AHEAD:
            self._begin_frame()
        if not self._ahead:
            return False
        self._ready = memoryview(self._ahead.popleft().result())
        return True

    def _begin_frame(self) -> None:
        """Read the next frame's content, and have it compressed."""
        lane = self._lanes[self._count % len(self._lanes)]
        size = lane.fill(self._stream)
        self._at_end = size < FRAME_BYTES
        # An empty stream is one empty frame, which says that nothing is missing.
        if size == 0 and self._count:
            return
        looks = self._chooses and self._count % LOOK_EVERY == 0
        self._count += 1
        frame = self._threads.submit(self._look if looks else self._better, lane, size)
        if looks:
            frame.result()  # the next frames depend on it
        self._ahead.append(frame)

    def _better(self, lane: _Lane, size: int) -> bytes:
        return lane.wanted(size) if self._pays else lane.fast(size)

    def _look(self, lane: _Lane, size: int) -> bytes:
        """Both ways; the frames that follow are compressed in the better one."""
        wanted = lane.wanted(size)
        fast = lane.fast(size)
        self._pays = len(wanted) < len(fast) * WORTH_IT
        return min(fast, wanted, key=len)


class _Lane:
    """A frame's buffer, and its compressors: neither may serve two threads at once."""

    def __init__(self, level: int) -> None:
        self._buffer: memoryview | None = None
        self._wanted = _compressor(level)
        self._fast = _compressor(FAST) if level > FAST else self._wanted

    def fill(self, stream: Content) -> int:
        """Read a whole frame, less only at the stream's end; the bytes that it has."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(FRAME_BYTES))
        filled = 0
        while filled < FRAME_BYTES and (count := stream.readinto(self._buffer[filled:])):
            filled += count
        return filled

    def wanted(self, size: int) -> bytes:
        """The frame at the policy's level."""
        return self._compressed(self._wanted, size)

    def fast(self, size: int) -> bytes:
        """The frame at level 1."""
        return self._compressed(self._fast, size)

    def _compressed(self, compressor: zstandard.ZstdCompressor, size: int) -> bytes:
        assert self._buffer is not None
        frame = compressor.compress(self._buffer[:size])
        # zstd's answer keeps the memory of the worst case; several are held at once.
        return frame if len(frame) > FRAME_BYTES // 4 else memoryview(frame).tobytes()


def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=True)
