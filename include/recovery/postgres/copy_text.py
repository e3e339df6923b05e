"""Rows out of a dump as a stream of COPY text, for a session that we hold ourselves.

``pg_restore --file=-`` turns a dump into text at the speed of C; here only the beginnings and ends of its COPY blocks
are looked for, a megabyte at a time. In return the rows go into a transaction of ours, in which their table was made or
truncated: with FREEZE, which spares the first reader of every row a rewrite, and without WAL where the server allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from include.recovery.errors import BackupCorrupt
from include.recovery.postgres.archive import Entry

CHUNK = 1024 * 1024
_END = b"\\.\n"


class CopyText:
    """The COPY blocks of an SQL script, one after the other.

    :param script: as ``pg_restore --file=-`` writes it.
    :param entries: the table data that the dump's table of contents announces.
    """

    def __init__(self, script: BinaryIO, entries: Sequence[Entry]) -> None:
        self._script = script
        self._known = [(entry.copy.strip().encode("utf-8", "surrogateescape"), entry) for entry in entries]
        self._longest = max((len(statement) for statement, _ in self._known), default=0) + 1
        self._buffer = b""
        self._ended = False

    def next_table(self) -> Entry | None:
        """Read on to the next table's rows; None at the end of the script. The rows before must have been taken."""
        while True:
            at = self._buffer.find(b"COPY ")
            while at >= 0 and (self._ended or len(self._buffer) - at >= self._longest):
                found = self._statement_at(at)
                if found is not None:
                    return found
                at = self._buffer.find(b"COPY ", at + 1)
            if self._ended:
                return None
            # Keep the candidate that needs more bytes, with what is before it; else the line that is not complete.
            keep_from = max(at - 1, 0) if at >= 0 else self._buffer.rfind(b"\n") + 1
            self._buffer = self._buffer[keep_from:]
            self._fill()

    def rows(self) -> Iterator[bytes]:
        """The rows of the table that ``next_table`` has found, in chunks.

        :raises BackupCorrupt: when the script ends inside them.
        """
        at_line_start = True
        while True:
            if at_line_start and self._buffer.startswith(_END):
                self._buffer = self._buffer[len(_END) :]
                return
            end = self._buffer.find(b"\n" + _END)
            if end >= 0:
                yield self._buffer[: end + 1]
                self._buffer = self._buffer[end + 1 + len(_END) :]
                return
            if len(self._buffer) > len(_END) + 1:
                ready, self._buffer = self._buffer[: -len(_END) - 1], self._buffer[-len(_END) - 1 :]
                at_line_start = ready.endswith(b"\n")
                yield ready
            if self._ended:
                raise BackupCorrupt("a table's rows end without their end mark: check this part, or take another copy")
            self._fill()

    def _statement_at(self, at: int) -> Entry | None:
        if at > 0 and self._buffer[at - 1 : at] != b"\n":
            return None
        for statement, entry in self._known:
            after = at + len(statement)
            if self._buffer.startswith(statement, at) and self._buffer[after : after + 1] == b"\n":
                self._buffer = self._buffer[after + 1 :]
                return entry
        return None

    def _fill(self) -> None:
        more = self._script.read(CHUNK)
        self._ended = not more
        self._buffer += more
