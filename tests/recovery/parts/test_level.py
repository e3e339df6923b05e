"""A level of compression is taken only where it pays."""

from __future__ import annotations

import io
import random

import pytest

from include.recovery.parts.level import PROBE_BYTES, Resumed, beginning_of, paying_level

CHANCE = random.Random(2026)  # noqa: S311 - the same in every run
PHRASES = ["".join(CHANCE.choices("etaoinshrdlu ", k=12)) for _ in range(20000)]


def prose(size: int) -> bytes:
    """Text in which phrases come back, too far apart for a short look."""
    return ". ".join(CHANCE.choices(PHRASES, k=size // 10)).encode()[:size]


def test_prose_is_worth_it() -> None:
    assert paying_level(prose(PROBE_BYTES), 3) == 3


def test_random_bytes_as_text_are_not() -> None:
    assert paying_level(CHANCE.randbytes(PROBE_BYTES // 2).hex().encode(), 3) == 1


def test_level_1_is_never_raised() -> None:
    assert paying_level(prose(PROBE_BYTES), 1) == 1


def test_a_short_stream_is_not_worth_a_look() -> None:
    assert paying_level(bytes(100), 3) == 3


class Pipe(io.BytesIO):
    """Gives less than asked for, as a pipe does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 1000) if size else 1000)


@pytest.mark.parametrize("size", [0, 1, 999, PROBE_BYTES - 1, PROBE_BYTES, PROBE_BYTES + 5000])
def test_nothing_is_lost_by_looking(size: int) -> None:
    content = CHANCE.randbytes(size)
    pipe = Pipe(content)
    beginning = beginning_of(pipe)
    resumed = Resumed(beginning, pipe)

    read = []
    while data := resumed.read(4096):
        read.append(data)

    assert len(beginning) == min(size, PROBE_BYTES)
    assert b"".join(read) == content
