"""A file's bytes: read once, digested on the way, holes skipped.

The digest is over the blocks of 1 MiB that are not all zero, each with its place, and over the size. So a file has the
same digest whether its zeros are stored or are a hole, and a hole costs no time, however long it is.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

BLOCK = 1024 * 1024
_ZEROS = bytes(BLOCK)

Segment = tuple[int, int]
"""Offset and length of bytes that are stored."""


class ContentDigest:
    """Of a file's bytes, given block by block in order; blocks that are all zero may be left out."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def add(self, offset: int, block: memoryview | bytes) -> None:
        """A block; it begins at a multiple of ``BLOCK`` and is that long, but for the last."""
        if block != _ZEROS[: len(block)]:
            self._hash.update(offset.to_bytes(8, "big"))
            self._hash.update(block)

    def of(self, size: int) -> str:
        """Of a file of that size."""
        final = self._hash.copy()
        final.update(b"size" + size.to_bytes(8, "big"))
        return final.hexdigest()


def digest_of(descriptor: int) -> str:
    """Digest of an open file."""
    stat = os.fstat(descriptor)
    digest = ContentDigest()
    for offset, block in blocks(descriptor, stat.st_size, segments_of(descriptor, stat)):
        digest.add(offset, block)
    return digest.of(stat.st_size)


def digest_of_bytes(data: bytes) -> str:
    """Digest of a file that holds these bytes."""
    digest = ContentDigest()
    for offset in range(0, len(data), BLOCK):
        digest.add(offset, data[offset : offset + BLOCK])
    return digest.of(len(data))


def segments_of(descriptor: int, stat: os.stat_result) -> list[Segment]:
    """Where a file has bytes that are stored: everywhere, unless it takes less room than it is long."""
    if stat.st_size == 0:
        return []
    if stat.st_blocks * 512 >= stat.st_size:
        return [(0, stat.st_size)]
    return list(_seek_segments(descriptor, stat.st_size))


def _seek_segments(descriptor: int, size: int) -> Iterator[Segment]:
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # nothing but a hole is left
            if error.errno == errno.EINVAL:
                yield end, size - end  # the file system knows no holes
                return
            raise
        if start >= size:
            return
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, end - start


def blocks(descriptor: int, size: int, segments: list[Segment]) -> Iterator[tuple[int, memoryview]]:
    """Whole blocks that have something stored, in order; each is valid until the next is asked for.

    Bytes that have gone since the size was measured read as zeros.
    """
    buffer = memoryview(bytearray(min(BLOCK, size)))
    done = 0
    for start, length in segments:
        offset = max(done, start - start % BLOCK)
        while offset < start + length:
            block = buffer[: min(BLOCK, size - offset)]
            filled = 0
            while filled < len(block):
                count = os.preadv(descriptor, [block[filled:]], offset + filled)
                if count == 0:
                    block[filled:] = _ZEROS[: len(block) - filled]
                    break
                filled += count
            yield offset, block
            offset += len(block)
        done = max(done, offset)


def copied(descriptor: int, size: int, segments: list[Segment], out: BinaryIO, on_block: Callable[[], None]) -> str:
    """Write what is stored of a file to a stream, segment after segment.

    :param on_block: called before each block; raises to stop.
    :return: the digest of the very bytes that were written.
    """
    digest = ContentDigest()
    todo = iter(segments)
    current = next(todo, None)
    for offset, block in blocks(descriptor, size, segments):
        on_block()
        at, end = offset, offset + len(block)
        while current is not None and current[0] < end:
            start, stop = max(current[0], offset), min(sum(current), end)
            # What was written into a hole since it was found is not in the stream, so it is not in the digest.
            block[at - offset : start - offset] = _ZEROS[: start - at]
            out.write(block[start - offset : stop - offset])
            at = stop
            if sum(current) > end:
                break
            current = next(todo, None)
        block[at - offset :] = _ZEROS[: end - at]
        digest.add(offset, block)
    return digest.of(size)
