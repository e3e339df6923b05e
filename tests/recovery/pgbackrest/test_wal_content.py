"""A segment's content is judged by what PostgreSQL wrote into its first page."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import struct

import pytest
import zstandard

from include.recovery.errors import BackupCorrupt
from include.recovery.pgbackrest.segments import Segment
from include.recovery.pgbackrest.wal import Trouble
from include.recovery.pgbackrest.wal_content import decompressed, judge
from tests.recovery.pgbackrest.conftest import SYSTEM

SIZE = 1024 * 1024
SEGMENT = Segment(2, 5)


def content(
    *, system: int = int(SYSTEM), number: int = 5, timeline: int = 2, flags: int = 2, size: int = SIZE,
    bytes_: int = SIZE,
) -> bytes:
    page = struct.pack("<HHIQI4xQII", 0xD110, flags, timeline, number * SIZE, 0, system, size, 8192)
    return page + bytes(bytes_ - len(page))


def trouble(data: bytes, sha1: str | None = None) -> Trouble | None:
    digest = sha1 or hashlib.sha1(data, usedforsecurity=False).hexdigest()
    found = judge(data, SEGMENT, digest, SYSTEM, archive="repository 1", size=SIZE)
    if found is not None:
        assert found.sentence.startswith(f"repository 1: WAL segment {SEGMENT.name(SIZE)} ")
    return found.trouble if found else None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (content(), None),
        (content(timeline=1), None),
        (b"", Trouble.EMPTY),
        (content(bytes_=SIZE - 1), Trouble.TRUNCATED),
        (content(bytes_=SIZE + 1), Trouble.DAMAGED),
        (content(system=int(SYSTEM) + 1), Trouble.WRONG_SYSTEM),
        (content(number=6), Trouble.WRONG_PLACE),
        (content(timeline=3), Trouble.WRONG_PLACE),
        (content(flags=0), Trouble.DAMAGED),
        (content(size=2 * SIZE), Trouble.DAMAGED),
    ],
)
def test_what_is_wrong_with_a_segment(data: bytes, expected: Trouble | None) -> None:
    assert trouble(data) is expected


def test_one_flipped_bit_is_damage() -> None:
    good = content()
    assert trouble(good[:-1] + b"\x01", hashlib.sha1(good, usedforsecurity=False).hexdigest()) is Trouble.DAMAGED


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.zst", zstandard.compress), ("a.gz", gzip.compress), ("a.bz2", bz2.compress), ("a", bytes)],
)
def test_every_compression_comes_back(name: str, pack: object) -> None:
    assert decompressed(pack(b"x" * 1000), name) == b"x" * 1000  # type: ignore[operator]


@pytest.mark.parametrize("name", ["a.zst", "a.gz", "a.bz2"])
def test_nonsense_is_damage(name: str) -> None:
    with pytest.raises(BackupCorrupt, match="is not what its name says"):
        decompressed(b"nonsense", name)
