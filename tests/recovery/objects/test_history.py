from __future__ import annotations

import io

import pytest

from include.recovery.errors import BackupCorrupt, PartDamaged
from include.recovery.objects.history import Head, Known, Row, line, read_head, read_rows
from include.recovery.objects.listing import Version

ROWS = [
    Row("a\nb", "v2", 2, 0, "", marker=True, seen=5),
    Row("a\nb", "v1", 1, 7, "e-2", digest="d", copy="c", seen=5, absent=3, gone=9),
    Row("ü", "null", 1, 0, "e"),
]


def test_what_is_written_is_read() -> None:
    stream = io.BytesIO(b"".join(map(line, [Head("bucket", "up/", 5), *ROWS])))
    assert read_head(stream, "x") == Head("bucket", "up/", 5)
    assert list(read_rows(stream, "x")) == ROWS


def test_a_version_is_the_same_when_all_of_it_is() -> None:
    row = ROWS[2]
    same = Version("ü", "null", 1, 0, "e")
    assert row.is_same(same)
    assert not row.is_same(same._replace(modified=2))
    assert Row.of(same, seen=4) == row._replace(seen=4)


def test_nonsense_is_named() -> None:
    with pytest.raises(BackupCorrupt, match="x: its history does not begin"):
        read_head(io.BytesIO(b"[]\n"), "x")
    with pytest.raises(BackupCorrupt, match="x: a line of its history"):
        list(read_rows(io.BytesIO(b"[1]\n"), "x"))


def test_what_breaks_off_is_believed_as_far_as_it_goes() -> None:
    def rows() -> object:
        yield ROWS[0]
        yield ROWS[1]
        raise PartDamaged("volume 2 is damaged")

    known = Known(Head("bucket", "", 5), rows(), "x")  # type: ignore[arg-type]
    assert list(known.by_key()) == [("a\nb", ROWS[:2])]
    assert known.broken
