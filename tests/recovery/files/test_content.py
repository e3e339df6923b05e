"""A file's bytes: one digest whatever its holes, and a stream that holds just what was digested."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.files.content import BLOCK, ContentDigest, copied, digest_of, digest_of_bytes, segments_of


def make(path: Path, runs: list[tuple[int, bytes]], size: int) -> Path:
    with path.open("wb") as file:
        for offset, data in runs:
            os.pwrite(file.fileno(), data, offset)
        os.ftruncate(file.fileno(), size)
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return digest_of(file.fileno())


RUNS = [
    ([], 0),
    ([(0, b"x")], 1),
    ([(0, b"x" * BLOCK)], BLOCK),
    ([], 3 * BLOCK + 7),
    ([(5 * BLOCK - 2, b"abcd")], 8 * BLOCK),
    ([(0, b"a"), (2 * BLOCK, b"b" * 4096), (2 * BLOCK + 65536, b"c")], 4 * BLOCK + 1),
]


@pytest.mark.parametrize(("runs", "size"), RUNS)
def test_holes_and_zeros_have_one_digest(tmp_path: Path, runs: list[tuple[int, bytes]], size: int) -> None:
    holed, full = make(tmp_path / "holed", runs, size), tmp_path / "full"
    full.write_bytes(holed.read_bytes())
    assert digest(holed) == digest(full) == digest_of_bytes(full.read_bytes())


@pytest.mark.parametrize(("runs", "size"), RUNS)
def test_the_stream_holds_what_is_stored_and_its_digest_is_the_files(
    tmp_path: Path, runs: list[tuple[int, bytes]], size: int
) -> None:
    path = make(tmp_path / "file", runs, size)
    out = io.BytesIO()
    with path.open("rb") as file:
        segments = segments_of(file.fileno(), os.fstat(file.fileno()))
        found = copied(file.fileno(), size, segments, out, lambda: None)
    assert found == digest(path)
    again = bytearray(size)
    stored = out.getvalue()
    for start, length in segments:
        again[start : start + length], stored = stored[:length], stored[length:]
    assert (bytes(again), stored) == (path.read_bytes(), b"")


def test_what_was_written_into_a_hole_meanwhile_is_not_in_the_digest_either(tmp_path: Path) -> None:
    path = make(tmp_path / "file", [(0, b"a" * 4096), (BLOCK - 4096, b"z" * 4096)], BLOCK)
    with path.open("r+b") as file:
        segments = segments_of(file.fileno(), os.fstat(file.fileno()))
        assert len(segments) == 2
        before = digest(path)
        os.pwrite(file.fileno(), b"!", BLOCK // 2)
        assert copied(file.fileno(), BLOCK, segments, io.BytesIO(), lambda: None) == before != digest(path)


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_any_changed_byte_changes_it(data: bytes, place: int, change: int) -> None:
    if place >= len(data):
        return
    other = bytearray(data)
    other[place] ^= change
    assert digest_of_bytes(data) != digest_of_bytes(bytes(other))


def test_length_place_and_order_count() -> None:
    def of(*blocks: tuple[int, bytes], size: int) -> str:
        found = ContentDigest()
        for offset, block in blocks:
            found.add(offset, block)
        return found.of(size)

    assert of(size=1) != of(size=2)
    assert of((0, b"a"), size=BLOCK + 1) != of((BLOCK, b"a"), size=BLOCK + 1)
