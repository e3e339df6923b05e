"""CSV while it is exported, and while it is read back: hashed as it passes, in flat memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

import psycopg

from include.recovery.catalog.model import Export
from include.recovery.errors import LifeboatError, PartDamaged, SourceUnavailable
from include.recovery.fingerprint.session import Session
from include.recovery.postgres.server import sql

_COPY = "COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')"


class CsvOfQuery(io.RawIOBase):
    """What COPY prints, counted and hashed as it is read.

    :param meant: says what an error of the server's means.
    :ivar rows: known at the end; -1 before.
    """

    def __init__(self, session: Session, query: str, meant: Callable[[psycopg.Error], LifeboatError]) -> None:
        self._session, self._query, self._meant = session, query, meant
        self._blocks = self._read()
        self._rest = memoryview(b"")
        self.digest = hashlib.sha512()
        self.columns: tuple[str, ...] = ()
        self.rows = -1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; 0 at the end."""
        target, filled = memoryview(buffer), 0
        while filled < len(target):
            if not self._rest:
                try:
                    block = next(self._blocks, b"")
                except psycopg.Error as error:
                    raise self._meant(error) from error
                if not block:
                    break
                self.digest.update(block)
                self._rest = memoryview(block)
            count = min(len(self._rest), len(target) - filled)
            target[filled : filled + count] = self._rest[:count]
            self._rest, filled = self._rest[count:], filled + count
        return filled

    def check(self) -> None:
        """Nothing when the server has ended the export well."""
        if self.rows < 0:
            raise SourceUnavailable("the server ended an export early; try again")

    def _read(self) -> Iterator[bytes]:
        with self._session.cursor() as cursor:
            described = cursor.execute(sql(f"{self._query} LIMIT 0")).description or []
            self.columns = tuple(column.name for column in described)
            with cursor.copy(sql(_COPY.format(query=self._query))) as copy:
                for block in copy:
                    yield bytes(block)
            self.rows = cursor.rowcount


class Checked(io.RawIOBase):
    """An export while it is read back; its end is a promise that it is what was exported.

    :param close: called when the stream is closed.
    """

    def __init__(self, stream: BinaryIO, export: Export, close: Callable[[], None]) -> None:
        self._stream, self._export, self._close = stream, export, close
        self._digest = hashlib.sha512()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; 0 at the end.

        :raises PartDamaged: at the end, when it is not what was exported.
        """
        count = int(self._stream.readinto(buffer))  # type: ignore[attr-defined]  # every binary stream of io has it
        self._digest.update(memoryview(buffer)[:count])
        if count == 0 and self._digest.hexdigest() != self._export.sha512:
            raise PartDamaged(f"export {self._export.name}: its CSV has not the SHA-512 that the manifest names")
        return count

    def close(self) -> None:
        """Let go of the backup."""
        if not self.closed:
            super().close()
            self._close()
