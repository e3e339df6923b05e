"""Restored rows take the place of a live table's rows, in one transaction.

The table itself stays: its OID, and so its triggers, views, grants, policies and everybody's prepared statements. The
rows that are there are kept in a safety schema. Before the commit, foreign keys are checked in both directions, and the
table's fingerprint must equal the manifest's; otherwise everything is as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from include.recovery.errors import NotIdentical, Refused
from include.recovery.fingerprint.model import DatabaseFingerprint, Mode, TableFingerprint
from include.recovery.fingerprint.row_hash import combine, table_query
from include.recovery.fingerprint.session import PINNED
from include.recovery.fingerprint.tables import select_tables
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.names import clipped, parse_qualified, quote
from include.recovery.postgres.server import PostgresServer, sql

Relation = tuple[str, str]
_TEXT = {"DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "extra_float_digits": "3", "row_security": "off"}
"""So that what one session writes as text the other reads as the same value."""
_COLUMNS = """
    SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_FOREIGN_KEYS = """
    SELECT c.conname, pg_catalog.format('%%I.%%I', n.nspname, t.relname),
           pg_catalog.format('%%I.%%I', fn.nspname, ft.relname), c.confmatchtype = 'f',
           (SELECT pg_catalog.array_agg(a.attname ORDER BY k.o)
              FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY k (n, o)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n),
           (SELECT pg_catalog.array_agg(a.attname ORDER BY k.o)
              FROM pg_catalog.unnest(c.confkey) WITH ORDINALITY k (n, o)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n),
           (SELECT pg_catalog.array_agg(pg_catalog.format('OPERATOR(%%I.%%s)', o_n.nspname, o_p.oprname) ORDER BY k.o)
              FROM pg_catalog.unnest(c.conpfeqop) WITH ORDINALITY k (n, o)
              JOIN pg_catalog.pg_operator o_p ON o_p.oid = k.n
              JOIN pg_catalog.pg_namespace o_n ON o_n.oid = o_p.oprnamespace)
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
      JOIN pg_catalog.pg_class ft ON ft.oid = c.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = ft.relnamespace
     WHERE c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
       AND (c.conrelid = ANY (%(tables)s::oid[]) OR c.confrelid = ANY (%(tables)s::oid[]))
     ORDER BY 2, 1
"""
_OWNED_SEQUENCES = """
    SELECT d.refobjid, a.attname, pg_catalog.format('%%I.%%I', n.nspname, s.relname), q.seqincrement
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
      JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
      JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
       AND d.refobjid = ANY (%s::oid[])
"""


@dataclass(frozen=True)
class SwappedTable:
    """One table after its rows were replaced.

    :param kept_as: where the former rows are.
    :param before: rows that it had.
    :param after: rows that it has.
    """

    table: str
    kept_as: str
    before: int
    after: int


@dataclass(frozen=True)
class TableSwap:
    """What a swap of rows did.

    :param foreign_keys: the constraints that were checked.
    :param repeated: whether an earlier try had done it already; then only names are known.
    """

    tables: tuple[SwappedTable, ...]
    foreign_keys: tuple[str, ...] = ()
    repeated: bool = False


def replace_tables(
    server: PostgresServer,
    restored: PostgresServer,
    tables: Collection[str],
    *,
    keep_schema: str,
    restored_schema: str | None = None,
    expected: DatabaseFingerprint | None = None,
    lock_wait: int = 30,
) -> TableSwap:
    """Replace the rows of live tables by those of their restored copies.

    Repeated after a success it changes nothing: the safety copies are made in the same transaction.

    :param server: the live database, as the tables' owner who may set ``session_replication_role``, or a superuser.
    :param restored: the database with the restored copies: a staging database, or the live one itself.
    :param tables: qualified names; a partitioned table stands for all its partitions. Tables that refer to each other
        belong into one call.
    :param keep_schema: where the present rows are kept, in the live database; made when it is missing.
    :param restored_schema: where ``restore_tables`` has put the copies; None means that they have their own names.
    :param expected: the manifest's fingerprint; None means that there is none to compare with.
    :param lock_wait: seconds to wait for the tables.
    :raises Refused: when the tables' columns have changed since the backup, or a foreign key would be broken.
    :raises NotIdentical: when the rows are not those of the backup after all.
    """
    names = [parse_qualified(name) for name in tables]
    settings = {**_TEXT, "lock_timeout": f"{lock_wait * 1000}"}
    try:
        with (
            server.connect(autocommit=False, settings=settings) as connection,
            restored.connect(autocommit=False, settings=_TEXT) as reader,
        ):
            copies = {name: (restored_schema or name[0], name[1]) for name in names}
            job = _Job(connection, reader, server, copies, keep_schema)
            if job.done_before():
                return TableSwap(tuple(
                    SwappedTable(job.shown(name), job.kept_as(name), 0, 0) for name in names
                ), repeated=True)
            swapped = job.run(expected)
            connection.commit()
            return swapped
    except psycopg.errors.IntegrityError as error:
        raise Refused(
            f"{server.redacted}: the backup's rows do not fit the live table: {error.diag.message_primary}; nothing "
            f"was changed: restore into a schema of its own and merge by hand"
        ) from error
    except psycopg.Error as error:
        raise meaning_of_session(error, server, f"replacing the rows of {', '.join(tables)}") from error


class _Job:
    """One replacement, in one transaction."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        reader: psycopg.Connection[Any],
        server: PostgresServer,
        copies: Mapping[Relation, Relation],
        safety: str,
    ) -> None:
        self._connection, self._reader, self._server = connection, reader, server
        self._names, self._copies, self._safety = tuple(copies), copies, safety

    def shown(self, relation: Relation) -> str:
        """The name as the server quotes it."""
        return str(self._one("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", relation))

    def kept_as(self, relation: Relation) -> str:
        """The safety copy's name as the server quotes it."""
        return self.shown((self._safety, _safety_name(relation)))

    def done_before(self) -> bool:
        """Whether the safety copies exist: they are made in the very transaction that replaces the rows."""
        return all(_oid(self._connection, (self._safety, _safety_name(name))) is not None for name in self._names)

    def run(self, expected: DatabaseFingerprint | None) -> TableSwap:
        """Everything up to the commit."""
        oids = {name: self._must_exist(self._connection, name, "the live table") for name in self._names}
        copies = {name: self._must_exist(self._reader, self._copies[name], "the restored copy") for name in self._names}
        locked = ", ".join(_name(name) for name in self._names)
        self._run(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")
        self._run(f"CREATE SCHEMA IF NOT EXISTS {quote(self._safety)}")
        self._run("SET LOCAL session_replication_role = replica")
        before = {name: self._keep(name) for name in self._names}
        for name in self._names:
            self._run(f"DELETE FROM {_which(self._is_partitioned(oids[name]))}{_name(name)}")  # noqa: S608
        after = {name: self._insert(name, oids[name], copies[name]) for name in self._names}
        keys = self._check_foreign_keys(list(oids.values()))
        self._raise_sequences(oids)
        if expected is not None:
            self._compare(expected)
        tables = tuple(
            SwappedTable(self.shown(name), self.kept_as(name), before[name], after[name]) for name in self._names
        )
        return TableSwap(tables, tuple(keys))

    def _keep(self, relation: Relation) -> int:
        which = _which(self._is_partitioned(self._must_exist(self._connection, relation, "the live table")))
        copy = _name((self._safety, _safety_name(relation)))
        return self._run(f"CREATE TABLE {copy} AS SELECT * FROM {which}{_name(relation)}")  # noqa: S608

    def _insert(self, relation: Relation, live: int, copy: int) -> int:
        """Stream the copy's rows into the live table: COPY fires no rules, and keeps identities as they are."""
        columns = ", ".join(quote(column) for column in self._columns(relation, live, copy))
        wanted = f"SELECT {columns} FROM {_which(self._copy_is_partitioned(copy))}{_name(self._copies[relation])}"  # noqa: S608
        listed = f" ({columns})" if columns else ""
        with self._reader.cursor() as reading, self._connection.cursor() as writing:
            with (
                reading.copy(sql(f"COPY ({wanted}) TO STDOUT")) as rows,
                writing.copy(sql(f"COPY {_name(relation)}{listed} FROM STDIN")) as into,
            ):
                for chunk in rows:
                    into.write(chunk)
            return writing.rowcount

    def _columns(self, relation: Relation, live: int, copy: int) -> list[str]:
        """The columns to copy.

        :raises Refused: when the table has changed its shape since the backup.
        """
        now = {row[0]: row for row in self._connection.execute(_COLUMNS, (live,))}
        then = {row[0]: row for row in self._reader.execute(_COLUMNS, (copy,))}
        changes = [f"column {name} is gone" for name in then if name not in now]
        changes += [f"column {name} is {now[name][1]} now and was {then[name][1]}" for name in then
                    if name in now and now[name][1] != then[name][1]]
        changes += [f"column {name} is new and needs a value" for name in now
                    if name not in then and now[name][3] and not now[name][2]]
        if changes:
            raise Refused(
                f"{self._server.redacted}: {self.shown(relation)} has changed since the backup ({'; '.join(changes)}); "
                f"nothing was changed: restore into a schema of its own and merge by hand"
            )
        return [name for name in then if not now[name][2]]

    def _check_foreign_keys(self, oids: list[int]) -> list[str]:
        """Look for rows that refer to nothing, both from these tables and to them.

        :raises Refused: naming each constraint and how many rows break it.
        """
        checked: list[str] = []
        broken: list[str] = []
        keys = self._connection.execute(_FOREIGN_KEYS, {"tables": oids}).fetchall()
        for name, table, referenced, full, columns, targets, operators in keys:
            matches = " AND ".join(
                f"r.{quote(target)} {operator} t.{quote(column)}"
                for column, target, operator in zip(columns, targets, operators, strict=True)
            )
            nulls = [f"t.{quote(column)} IS NOT NULL" for column in columns]
            condition = f"({' OR '.join(nulls)})" if full else " AND ".join(nulls)
            count = self._one(
                f"SELECT count(*) FROM {table} t WHERE {condition}"  # noqa: S608 - names quoted by the server
                f" AND NOT EXISTS (SELECT 1 FROM {referenced} r WHERE {matches})"
            )
            checked.append(f"{name} of {table}")
            if count:
                broken.append(f"{count} rows of {table} would refer to nothing in {referenced} ({name})")
        if broken:
            raise Refused(
                f"{self._server.redacted}: {'; '.join(broken)}; nothing was changed: restore these tables together, or "
                f"into a schema of their own and merge by hand"
            )
        return checked

    def _raise_sequences(self, oids: Mapping[Relation, int]) -> None:
        """No owned sequence may give a number again that the restored rows use."""
        names = {oid: name for name, oid in oids.items()}
        rows = self._connection.execute(_OWNED_SEQUENCES, (list(oids.values()),)).fetchall()
        for oid, column, sequence, increment in rows:
            extreme = "max" if increment > 0 else "min"
            furthest = self._one(f"SELECT {extreme}({quote(column)})::bigint FROM {_name(names[oid])}")  # noqa: S608
            if furthest is None:
                continue
            better = "<" if increment > 0 else ">"
            self._connection.execute(
                sql(f"SELECT pg_catalog.setval(%s::pg_catalog.regclass, %s) FROM {sequence}"  # noqa: S608
                    f" WHERE last_value {better} %s"), (sequence, furthest, furthest)
            )

    def _compare(self, expected: DatabaseFingerprint) -> None:
        """The rows as this transaction sees them against the manifest.

        :raises NotIdentical: naming the tables and both numbers of rows.
        """
        differences = []
        for name, found in self._measure(expected.mode).items():
            wanted = expected.tables.get(name)
            if wanted is None:
                if found.rows:
                    differences.append(f"{name} has {found.rows} rows and is not in the backup")
            elif wanted.coverage == "full" and (found.rows, found.digest) != (wanted.rows, wanted.digest):
                differences.append(f"{name} has {found.rows} rows and the backup {wanted.rows}, of other content")
        if differences:
            raise NotIdentical(
                f"{self._server.redacted}: {'; '.join(differences)}; nothing was changed: the table's shape may have "
                f"changed since the backup, or the restored copy was touched; restore it again"
            )

    def _measure(self, mode: Mode) -> dict[str, TableFingerprint]:
        for setting, value in PINNED.items():
            self._run(f"SET LOCAL {setting} = {value}")
        selection = select_tables(
            self._connection, exclude={}, only=[self.shown(name) for name in self._names], unlogged=True
        )
        result = {}
        for table in selection.tables:
            rows = self._connection.execute(sql(table_query(table.name, table.columns, mode=mode))).fetchall()
            count, digest, _ = combine(rows)
            result[table.name] = TableFingerprint(rows=count, digest=digest, columns=())
        return result

    def _must_exist(self, connection: psycopg.Connection[Any], relation: Relation, what: str) -> int:
        oid = _oid(connection, relation)
        if oid is None:
            raise Refused(
                f"{self._server.redacted}: {what} {self.shown(relation)} does not exist in {connection.info.dbname}; "
                f"nothing was changed: restore the table into a schema of its own first"
            )
        return oid

    def _is_partitioned(self, oid: int) -> bool:
        return _kind(self._connection, oid) == "p"

    def _copy_is_partitioned(self, oid: int) -> bool:
        return _kind(self._reader, oid) == "p"

    def _run(self, statement: str) -> int:
        return self._connection.execute(sql(statement)).rowcount

    def _one(self, query: str, parameters: Sequence[Any] | None = None) -> Any:
        row = self._connection.execute(sql(query), parameters).fetchone()
        return row[0] if row else None


def _name(relation: Relation) -> str:
    return f"{quote(relation[0])}.{quote(relation[1])}"


def _which(partitioned: bool) -> str:
    """Rows of children by inheritance are rows of other tables; rows of partitions are the table's own."""
    return "" if partitioned else "ONLY "


def _safety_name(relation: Relation) -> str:
    """One table name for a schema and a table, unique also when it must be shortened."""
    whole = f"{relation[0]}.{relation[1]}"
    if len(whole.encode()) <= 63:
        return whole
    return clipped(whole, "~" + hashlib.sha256(whole.encode()).hexdigest()[:8])


def _oid(connection: psycopg.Connection[Any], relation: Relation) -> int | None:
    row = connection.execute(
        "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p')", relation
    ).fetchone()
    return row[0] if row else None


def _kind(connection: psycopg.Connection[Any], oid: int) -> str:
    row = connection.execute("SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = %s", (oid,)).fetchone()
    return str(row[0]) if row else ""
