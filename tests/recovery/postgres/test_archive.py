"""The table of contents of a dump."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import pytest

from include.recovery.errors import BackupCorrupt
from include.recovery.postgres.archive import Contents, Entry, Incomplete, Peek, read_contents, split_contents
from include.recovery.postgres.reading import dotted, foreign_key_ends, parents_first, with_partitions


def number(value: int) -> bytes:
    return bytes([value < 0]) + struct.pack("<i", abs(value))


def text(value: str | None) -> bytes:
    return number(-1) if value is None else number(len(value.encode())) + value.encode()


def dump(entries: list[tuple[int, str, str, str]], version: tuple[int, int] = (1, 14)) -> bytes:
    """A dump's beginning as pg_dump writes it: (id, kind, schema, name) for each entry."""
    data = b"PGDMP" + bytes([*version, 0, 4, 8, 1])
    data += b"\0" if version >= (1, 15) else number(0)
    data += b"".join(number(n) for n in (0, 0, 0, 1, 1, 126, 0)) + text("shop") + text("15.1") + text("15.2")
    data += number(len(entries))
    for dump_id, kind, schema, name in entries:
        data += number(dump_id) + number(1) + text("0") + text("0") + text(name) + text(kind) + number(3)
        data += text("") + text(None) + text(f'COPY "{schema}"."{name}" FROM stdin;\n') + text(schema) + text("")
        data += text("") if version >= (1, 14) else b""
        data += number(0) if version >= (1, 16) else b""
        data += text("me") + text("false") + text("7") + text(None) + b"\1" + bytes(8)
    return data


@pytest.mark.parametrize("version", [(1, 13), (1, 14), (1, 15), (1, 16)])
def test_contents_are_read_in_all_versions(version: tuple[int, int]) -> None:
    found = read_contents(dump([(5, "TABLE DATA", "Odd Schema", "a\nb"), (6, "BLOBS", "", "x")], version) + b"rows")
    assert (found.database, found.server_version, found.tool_version) == ("shop", "15.1", "15.2")
    assert found.tables_with_rows == [("Odd Schema", "a\nb")]
    assert found.entries[0].depends_on == (7,)


def test_what_is_not_all_there_is_told_from_what_is_no_dump() -> None:
    whole = dump([(5, "TABLE DATA", "s", "t")])
    with pytest.raises(Incomplete):
        read_contents(whole[:-1])
    with pytest.raises(BackupCorrupt, match="not a custom-format dump"):
        read_contents(b"-- SQL text")
    with pytest.raises(BackupCorrupt, match=r"archive version 1\.99"):
        read_contents(dump([], (1, 99)))


def test_a_stream_passes_unchanged_while_its_contents_are_picked_up() -> None:
    whole = dump([(n, "TABLE DATA", "s", f"table {n}") for n in range(3000)]) + b"rows" * 100_000
    peek = Peek(io.BytesIO(whole))
    assert b"".join(pieces(peek, 10_007)) == whole
    assert len(peek.contents.tables_with_rows) == 3000
    contents, stream = split_contents(io.BytesIO(whole))
    assert len(contents.entries) == 3000
    assert b"".join(iter(lambda: stream.read(10_007), b"")) == whole


def test_a_dump_that_ends_in_its_contents_is_damaged() -> None:
    peek = Peek(io.BytesIO(dump([(5, "TABLE DATA", "s", "t")])[:-3]))
    with pytest.raises(BackupCorrupt, match="ended inside its table of contents"):
        list(pieces(peek, 100))


def pieces(peek: Peek, size: int) -> Iterator[bytes]:
    buffer = memoryview(bytearray(size))
    while count := peek.readinto(buffer):
        yield bytes(buffer[:count])


def attach(number_: int, parent: str, child: str) -> Entry:
    sql = f"ALTER TABLE ONLY a.{parent} ATTACH PARTITION a.{child} FOR VALUES IN ('b.c')"
    return Entry(number_, "TABLE ATTACH", child, "a", "pre-data", sql, "", "me", ())


def test_partitions_are_attached_after_their_parents() -> None:
    tables = [Entry(n, "TABLE", name, "a", "pre-data", "", "", "me", ()) for n, name in enumerate("abc")]
    contents = Contents("d", "17", "17", (*tables, attach(7, "b", "a"), attach(8, "c", "b")))
    assert [entry.id for entry in parents_first(contents)] == [0, 1, 2, 8, 7]
    assert with_partitions(contents, [("a", "c")], "x") == [("a", "c"), ("a", "b"), ("a", "a")]


def test_both_ends_of_a_foreign_key_are_found() -> None:
    sql = 'ALTER TABLE ONLY a."b.c" ADD CONSTRAINT "x.y" FOREIGN KEY (z) REFERENCES "D d".e(f) ON DELETE CASCADE;'
    assert foreign_key_ends(sql) == (("a", "b.c"), ("D d", "e"))
    assert dotted("SELECT 'a.b', c, 1.5") == []
