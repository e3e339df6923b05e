"""Reading the table of contents of a custom-format dump, which comes first in the stream.

It tells what a part really holds, so that a backup can prove that every table is in exactly one part, and a restore
can choose entries by what they are instead of by guessing at printed lines. The format is PostgreSQL's own
(``pg_backup_archiver.c``); versions 1.12 to 1.16 are what PostgreSQL 9.0 to 18 write.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO, cast

from include.recovery.errors import BackupCorrupt

MAGIC = b"PGDMP"
_FORMAT_CUSTOM = 1
_OLDEST, _NEWEST = (1, 12), (1, 16)
SECTIONS = {1: "none", 2: "pre-data", 3: "data", 4: "post-data"}


class Incomplete(Exception):
    """The table of contents goes on beyond the bytes that are here."""


@dataclass(frozen=True)
class Entry:
    """One entry of a dump.

    :param id: the number that ``pg_restore --use-list`` knows it by.
    :param kind: such as ``TABLE``, ``TABLE DATA``, ``FK CONSTRAINT``.
    :param schema: empty for what is in no schema.
    :param definition: the SQL that makes it; empty for data.
    :param copy: the ``COPY ... FROM stdin;`` of table data.
    """

    id: int
    kind: str
    name: str
    schema: str
    section: str
    definition: str
    copy: str
    owner: str
    depends_on: tuple[int, ...]

    @property
    def relation(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name


@dataclass(frozen=True)
class Contents:
    """A dump's table of contents.

    :param server_version: of the server it was taken from.
    :param tool_version: of the pg_dump that wrote it.
    """

    database: str
    server_version: str
    tool_version: str
    entries: tuple[Entry, ...]

    def of_kind(self, *kinds: str) -> list[Entry]:
        """The entries of these kinds, in the dump's order."""
        return [entry for entry in self.entries if entry.kind in kinds]

    @property
    def tables_with_rows(self) -> list[tuple[str, str]]:
        """The relations whose rows are in this dump."""
        return [entry.relation for entry in self.of_kind("TABLE DATA")]


def read_contents(head: bytes) -> Contents:
    """The table of contents at the beginning of a dump.

    :param head: at least all of it; what follows is ignored.
    :raises Incomplete: when it goes on beyond these bytes.
    :raises BackupCorrupt: when this is not a dump of a version that is known.
    """
    return _Reader(head).contents()


def split_contents(stream: BinaryIO) -> tuple[Contents, BinaryIO]:
    """A dump's table of contents, and the whole dump as a stream again.

    :raises BackupCorrupt: when the dump ends inside its table of contents.
    """
    peek = Peek(stream)
    head: list[bytes] = []
    buffer = memoryview(bytearray(256 * 1024))
    while not peek.ready and (count := peek.readinto(buffer)):
        head.append(bytes(buffer[:count]))
    return peek.contents, cast("BinaryIO", _Chained(b"".join(head), stream))


class _Chained:
    """Bytes, and a stream after them."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = memoryview(head), rest

    def read(self, size: int = -1) -> bytes:
        """The next bytes, first of the head and then of the stream."""
        if not self._head:
            return self._rest.read(size)
        data = bytes(self._head if size < 0 else self._head[:size])
        self._head = self._head[len(data) :]
        return data


class Peek:
    """A stream that passes through unchanged while its table of contents is picked up on the way.

    :param stream: a dump as pg_dump writes it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head: bytearray | None = bytearray()
        self._try_at = 64 * 1024
        self._contents: Contents | None = None

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes of the stream; 0 at its end."""
        count = int(self._stream.readinto(buffer) or 0)  # type: ignore[attr-defined]  # every binary stream has it
        if self._head is not None:
            self._head += buffer[:count]
            if not count or len(self._head) >= self._try_at:
                self._look(final=not count)
        return count

    @property
    def ready(self) -> bool:
        """Whether the whole table of contents has come by."""
        return self._contents is not None

    @property
    def contents(self) -> Contents:
        """What the dump holds; known once enough has been read.

        :raises BackupCorrupt: when the stream ended before its table of contents did.
        """
        if self._contents is None:
            self._look(final=True)
        assert self._contents is not None
        return self._contents

    def _look(self, *, final: bool) -> None:
        assert self._head is not None
        try:
            self._contents = read_contents(bytes(self._head))
        except Incomplete:
            if final:
                raise BackupCorrupt("the dump ended inside its table of contents; take the backup again") from None
            self._try_at = len(self._head) * 2
        else:
            self._head = None


class _Reader:
    """Walks over the bytes of one table of contents."""

    def __init__(self, head: bytes) -> None:
        self._in = io.BytesIO(head)
        self._int_size = 4
        self._offset_size = 8
        self._version = (0, 0)

    def contents(self) -> Contents:
        magic = self._take(5)
        if magic != MAGIC:
            raise BackupCorrupt(f"this is not a custom-format dump of pg_dump: it begins with {magic!r}, not {MAGIC!r}")
        major, minor, _revision, self._int_size, self._offset_size, kind = self._take(6)
        self._version = (major, minor)
        if not _OLDEST <= self._version <= _NEWEST or kind != _FORMAT_CUSTOM:
            raise BackupCorrupt(
                f"the dump has archive version {major}.{minor} and format {kind}; known are custom-format dumps of "
                f"version 1.12 to 1.16 (PostgreSQL 9.0 to 18); restore it with a newer Lifeboat or with pg_restore"
            )
        if self._version >= (1, 15):
            self._take(1)
        else:
            self._int()
        for _ in range(7):  # seconds, minutes, hours, day, month, year, daylight saving
            self._int()
        database, server_version, tool_version = self._text(), self._text(), self._text()
        entries = tuple(self._entry() for _ in range(self._int()))
        return Contents(database, server_version, tool_version, entries)

    def _entry(self) -> Entry:
        number, _has_data = self._int(), self._int()
        _table_oid, _oid = self._text(), self._text()
        name, kind, section = self._text(), self._text(), self._int()
        definition, _drop, copy = self._text(), self._text(), self._text()
        schema, _tablespace = self._text(), self._text()
        if self._version >= (1, 14):
            self._text()  # access method
        if self._version >= (1, 16):
            self._int()  # relkind
        owner, _with_oids = self._text(), self._text()
        depends_on = []
        while (dependency := self._optional_text()) is not None:
            depends_on.append(int(dependency))
        self._take(1 + self._offset_size)
        return Entry(number, kind, name, schema, SECTIONS.get(section, "none"), definition, copy, owner,
                     tuple(depends_on))

    def _take(self, count: int) -> bytes:
        data = self._in.read(count)
        if len(data) < count:
            raise Incomplete
        return data

    def _int(self) -> int:
        data = self._take(1 + self._int_size)
        value = int.from_bytes(data[1:], "little")
        return -value if data[0] else value

    def _optional_text(self) -> str | None:
        length = self._int()
        return None if length < 0 else self._take(length).decode("utf-8", "surrogateescape")

    def _text(self) -> str:
        return self._optional_text() or ""
