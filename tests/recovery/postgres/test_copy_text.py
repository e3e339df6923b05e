"""COPY blocks out of a script, whatever the sizes of the chunks in which it comes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt
from include.recovery.postgres import copy_text
from include.recovery.postgres.archive import Entry
from include.recovery.postgres.copy_text import CopyText


def entry(number: int, copy: str) -> Entry:
    return Entry(number, "TABLE DATA", f"t{number}", "public", "data", "", copy, "me", ())


def script_of(tables: list[list[bytes]]) -> tuple[bytes, list[Entry]]:
    entries = [entry(n, f'COPY public.t{n} (a, "line\nbreak") FROM stdin;\n') for n in range(len(tables))]
    text = b"-- dump\nSET x = 1;\n\n"
    for one, rows in zip(entries, tables, strict=True):
        text += b"-- COPY nothing\n" + one.copy.encode() + b"".join(row + b"\n" for row in rows) + b"\\.\n\n\n"
    return text + b"SELECT pg_catalog.setval('x', 1);\n", entries


cells = st.sampled_from(
    [b"", b"a", b"COPY public.t0 (a) FROM stdin;", b"\\\\.", b"\\N\tx", b"x\\.", b"\\.x", b"long " * 40]
)


class Dribble(io.RawIOBase):
    """Gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = io.BytesIO(data), step

    def read(self, size: int = -1) -> bytes:
        return self._data.read(self._step)


@given(st.lists(st.lists(cells, max_size=5), max_size=4), st.integers(1, 300))
def test_rows_come_out_as_they_went_in(tables: list[list[bytes]], step: int) -> None:
    text, entries = script_of(tables)
    reader = CopyText(Dribble(text, step), entries)  # type: ignore[arg-type]
    found = []
    while (one := reader.next_table()) is not None:
        found.append((one.id, b"".join(reader.rows())))
    assert found == [(number, b"".join(row + b"\n" for row in rows)) for number, rows in enumerate(tables)]


def test_an_end_in_the_middle_of_rows_is_damage() -> None:
    text, entries = script_of([[b"a", b"b"]])
    reader = CopyText(io.BytesIO(text[: text.index(b"\\.\n")]), entries)
    assert reader.next_table() is not None
    with pytest.raises(BackupCorrupt, match="without their end mark"):
        list(reader.rows())


def test_chunks_are_large() -> None:
    assert copy_text.CHUNK >= 1024 * 1024
