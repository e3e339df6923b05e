"""Streams are compressed in frames that every reader of zstd knows, at a level that pays."""

from __future__ import annotations

import io
import random
import subprocess

import pytest
import zstandard

from include.recovery.parts.compress import FRAME_BYTES, LOOK_EVERY, Compressed

CHANCE = random.Random(2026)  # noqa: S311 - the same in every run
PHRASES = ["".join(CHANCE.choices("etaoinshrdlu ", k=12)) for _ in range(20000)]
RANDOM = CHANCE.randbytes(FRAME_BYTES // 2).hex().encode()


def prose(size: int) -> bytes:
    """Text in which phrases come back, too far apart for a short look."""
    return ". ".join(CHANCE.choices(PHRASES, k=size // 10)).encode()[:size]


def compressed(content: bytes, level: int = 3) -> bytes:
    with Compressed(io.BytesIO(content), level) as stream:
        return stream.read()


def at_level(level: int, content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(content)


class Pipe(io.BytesIO):
    """Gives less than asked for, as a pipe does."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return super().readinto(buffer[:65536])


def test_prose_is_worth_the_level() -> None:
    text = prose(FRAME_BYTES)

    assert compressed(text) == at_level(3, text)
    assert len(at_level(3, text)) < len(at_level(1, text))


def test_random_bytes_as_text_are_not() -> None:
    assert compressed(RANDOM * 3) == at_level(1, RANDOM) * 3


def test_another_look_is_taken_now_and_then() -> None:
    first_prose = prose(FRAME_BYTES) + RANDOM * LOOK_EVERY
    first_random = RANDOM * LOOK_EVERY + prose(FRAME_BYTES)

    assert compressed(first_prose).endswith(at_level(1, RANDOM))
    assert compressed(first_random).endswith(at_level(3, first_random[-FRAME_BYTES:]))


def test_level_1_is_never_raised() -> None:
    text = prose(FRAME_BYTES)

    assert compressed(text, 1) == at_level(1, text)


@pytest.mark.parametrize("size", [0, 1, 70_000, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES + 5])
@pytest.mark.parametrize("asked", [1000, 1 << 20, -1])
def test_any_reader_of_zstd_gets_it_back(size: int, asked: int) -> None:
    content = CHANCE.randbytes(size // 3) * 3 + bytes(size % 3)
    stream = Compressed(Pipe(content), 3)
    pieces = []
    while piece := stream.read(asked):
        pieces.append(piece)
    whole = b"".join(pieces)

    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(whole), read_across_frames=True)

    assert reader.read() == content
    assert all(len(piece) == asked for piece in pieces[:-1])


def test_the_tool_itself_gets_it_back() -> None:
    content = prose(FRAME_BYTES + 1000)

    done = subprocess.run(["zstd", "-dc"], input=compressed(content), stdout=subprocess.PIPE, check=True)

    assert done.stdout == content


def test_nothing_is_one_empty_frame() -> None:
    assert compressed(b"") == at_level(3, b"")
