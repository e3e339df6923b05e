"""CSV exports of a database, from the very snapshot of its backup.

An export is a query of the policy. The backup runs it beside the dumps and stores its CSV as a part, with the number of
rows and the SHA-512 in the manifest. The same query, run on a restored copy, must give the same bytes.

For that the rows come in an order that no collation and no plan can change: by the columns that the policy names, text
among them by its bytes, and behind those by the text of the whole row. Rows that are equal in all of it are equal in
the CSV too. The settings that decide how values look as text are pinned, as for the fingerprint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol, cast

import psycopg

from include.recovery.catalog.model import Export, Part
from include.recovery.errors import BackupNotFound, LifeboatError, SourceError
from include.recovery.fingerprint.model import Difference
from include.recovery.fingerprint.session import Session, run_on_all, snapshot_sessions
from include.recovery.postgres.export_streams import CsvOfQuery
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.names import quote
from include.recovery.postgres.server import PostgresServer, sql

PREFIX = "export-"
"""Names of parts that hold an export begin with this."""
_ROW = "lifeboat_export"


@dataclass(frozen=True)
class ExportQuery:
    """What to export.

    :param table: qualified name, quoted as SQL needs it; with ``columns`` instead of ``sql``.
    :param sql: one reading statement; unqualified names are looked up in ``public``.
    :param order_by: columns of the result, in whose order the rows come.
    """

    name: str
    table: str = ""
    columns: tuple[str, ...] = ()
    sql: str = ""
    order_by: tuple[str, ...] = ()
    note: str | None = None

    @property
    def statement(self) -> str:
        """What gives the rows, in any order."""
        if self.sql:
            return self.sql.rstrip().rstrip(";")
        columns = ", ".join(quote(column) for column in self.columns) or "*"
        return f"SELECT {columns} FROM {self.table}"  # noqa: S608 - of the policy, which may say any query

    @property
    def part(self) -> str:
        """Name of its part."""
        return PREFIX + self.name


class Store(Protocol):
    """Where the CSV goes: stores a stream as a part."""

    def __call__(self, stream: BinaryIO, *, finished: Callable[[], None]) -> Part: ...


def query_of(session: Session, export: ExportQuery) -> str:
    """The query with its order, as it is run and kept in the manifest.

    :raises psycopg.Error: when the server refuses the policy's query.
    :raises SourceError: when ``order_by`` names a column that the result does not have.
    """
    rows = f"SELECT * FROM (\n{export.statement}\n) AS {_ROW}"  # noqa: S608
    found = session.execute(sql(f"{rows} LIMIT 0")).description or []
    types = {column.name: column.type_code for column in found}
    unknown = [name for name in export.order_by if name not in types]
    if unknown:
        raise SourceError(
            f"export {export.name!r} is to be ordered by {', '.join(unknown)}, which its result does not have; it has "
            f"{', '.join(types) or 'no columns'}"
        )
    collated = {
        row[0] for row in session.execute(
            "SELECT oid FROM pg_catalog.pg_type WHERE typcollation <> 0 AND oid = ANY(%s)", (list(types.values()),)
        )
    }  # fmt: skip
    order = [
        f"{_ROW}.{quote(name)}" + (' COLLATE "C"' if types[name] in collated else "") for name in export.order_by
    ]
    return f'{rows} ORDER BY {", ".join([*order, f"({_ROW}.*)::text"])} COLLATE "C"'


def check_export(server: PostgresServer, export: ExportQuery) -> None:
    """Make sure that the query of an export can be run, without running it.

    :raises SourceError: with what the server says about it.
    """
    with _session(server, None, export) as (session,):
        query_of(session, export)


def store_export(
    server: PostgresServer,
    snapshot: str | None,
    export: ExportQuery,
    store: Store,
    *,
    settings: dict[str, str] | None = None,
    stop: threading.Event | None = None,
) -> tuple[Part, Export]:
    """Run an export in a snapshot and store its CSV; flat memory on our side.

    :param snapshot: exported by a session that stays open; None takes a new one.
    :raises LifeboatError: when the server refuses the query or goes away, or storing fails.
    """
    made: list[tuple[Part, Export]] = []

    def work(session: Session) -> None:
        query = query_of(session, export)
        stream = CsvOfQuery(session, query, partial(_meant, server, export))
        part = store(cast("BinaryIO", stream), finished=stream.check)
        made.append((part, Export(
            name=export.name, part=part.name, query=query, columns=stream.columns, rows=stream.rows,
            sha512=stream.digest.hexdigest(), note=export.note,
        )))  # fmt: skip

    with _session(server, snapshot, export, settings) as sessions:
        run_on_all(sessions, [work], stop)
    return made[0]


def compare_exports(
    expected: Sequence[Export], copy: PostgresServer, *, stop: threading.Event | None = None
) -> list[Difference]:
    """Run the exports of a backup on a restored copy, and say which give another CSV."""
    found = []
    for export in expected:
        try:
            rows, digest = _measured(copy, export, stop)
        except SourceError as error:
            message = f"export {export.name} cannot be made from the copy: {error}"
        else:
            if (rows, digest) == (export.rows, export.sha512):
                continue
            message = f"export {export.name} has {rows:,} rows from the copy, {export.rows:,} in the backup"
            if rows == export.rows:
                message = (
                    f"export {export.name} has {rows:,} rows from the copy as in the backup, but not the same ones; a "
                    f"query whose result depends on anything but the data (now(), random()) cannot be compared"
                )
        found.append(Difference(object=f"export {export.name}", kind="export", message=message))
    return found


def export_of(exports: Sequence[Export], name: str, backup: str) -> Export:
    """An export of a backup, by its name.

    :raises BackupNotFound: when there is none of that name.
    """
    for export in exports:
        if export.name == name:
            return export
    known = ", ".join(export.name for export in exports) or "none"
    raise BackupNotFound(f"backup {backup} has no export {name!r}; it has {known}")


@contextmanager
def _session(
    server: PostgresServer, snapshot: str | None, export: ExportQuery | Export,
    settings: dict[str, str] | None = None,
) -> Iterator[tuple[Session, ...]]:  # fmt: skip
    """A read-only session whose settings are pinned; unqualified names are looked up in public, as in questions."""
    with snapshot_sessions(partial(server.connect, settings=settings), snapshot, 1) as sessions:
        try:
            sessions[0].execute("SET LOCAL search_path = public; SET LOCAL enable_sort = on")
            yield sessions
        except psycopg.Error as error:
            raise _meant(server, export, error) from error


def _meant(server: PostgresServer, export: ExportQuery | Export, error: psycopg.Error) -> LifeboatError:
    return meaning_of_session(error, server, f"export {export.name}")


def _measured(server: PostgresServer, export: Export, stop: threading.Event | None) -> tuple[int, str]:
    found: list[CsvOfQuery] = []

    def work(session: Session) -> None:
        stream = CsvOfQuery(session, export.query, partial(_meant, server, export))
        while stream.read(1024 * 1024):
            pass
        found.append(stream)

    with _session(server, None, export) as sessions:
        run_on_all(sessions, [work], stop)
    return found[0].rows, found[0].digest.hexdigest()
