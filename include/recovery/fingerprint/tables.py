"""Which tables a database has, which of them are compared by their rows, and what forbids it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from include.recovery.errors import InsufficientRights, RowsHidden, SourceError
from include.recovery.fingerprint.columns import Column
from include.recovery.fingerprint.model import NotCompared
from include.recovery.fingerprint.session import Session, execute, rows, scalar

LEFT_OUT = "left out: "
"""How the reason begins why a table's rows are not in a backup at all."""

USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
"""SQL condition: the schema ``n`` is neither the system's nor anyone's temporary one."""


def extension_of(catalog: str, oid: str) -> str:
    """SQL: the name of the extension that an object belongs to, or null."""
    return (
        f"(SELECT x.extname FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid"
        f" WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND e.objid = {oid} AND e.objsubid = 0"
        f" AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.deptype = 'e')"
    )


QUALIFIED = "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
"""SQL: the qualified, quoted name of relation ``c`` in schema ``n``."""

_RELATIONS = f"""
SELECT c.oid, {QUALIFIED}, c.relkind::text, c.relpersistence::text,
       CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_table_size(c.oid) ELSE 0 END,
       {extension_of("pg_class", "c.oid")},
       EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE c.oid = ANY (x.extconfig)),
       c.relkind = 'r' AND pg_catalog.row_security_active(c.oid),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       s.srvname
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = c.oid
  LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
 WHERE c.relkind IN ('r', 'p', 'm', 'f') AND {USER_SCHEMA}
 ORDER BY n.nspname, c.relname
"""

_COLUMNS = """
WITH RECURSIVE base (typid, oid) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype <> 'd'
    UNION ALL
    SELECT d.oid, b.oid FROM pg_catalog.pg_type d JOIN base b ON b.typid = d.typbasetype WHERE d.typtype = 'd'
)
SELECT a.attrelid, a.attname::text, n.nspname::text, t.typname::text,
       CASE WHEN p.proargtypes[0] IN (t.oid, 'anyenum'::regtype, 'anyarray'::regtype, 'anyrange'::regtype,
                                      'record'::regtype)
            THEN pg_catalog.quote_ident(o.nspname) || '.' || pg_catalog.quote_ident(p.proname) END,
       a.atttypid <> t.oid, a.attcollation <> 0,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary
                                                   AND a.attnum = ANY (i.indkey))
  FROM pg_catalog.pg_attribute a
  JOIN base b ON b.typid = a.atttypid
  JOIN pg_catalog.pg_type t ON t.oid = b.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
  JOIN pg_catalog.pg_namespace o ON o.oid = p.pronamespace
 WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped {stored}
"""

_VIRTUAL_SINCE = 180000
_LOCKED_AT_ONCE = 100


@dataclass(frozen=True)
class Table:
    """One table whose rows are compared.

    :param size: bytes of the table and its TOAST, to begin with the longest.
    """

    oid: int
    name: str
    size: int
    columns: tuple[Column, ...] = ()
    key: tuple[Column, ...] = ()


@dataclass
class Selection:
    """What is compared by its rows, and what is not and why."""

    tables: list[Table] = field(default_factory=list)
    not_compared: list[NotCompared] = field(default_factory=list)


@dataclass(frozen=True)
class _Relation:
    oid: int
    name: str
    kind: str
    persistence: str
    size: int
    extension: str | None
    is_configuration: bool
    hides_rows: bool
    readable: bool
    server: str | None

    def why_not(self, excluded: Mapping[int, str], *, unlogged: bool) -> str | None:
        """Why its rows are not compared; None when they are."""
        if self.kind == "m":
            return "materialised view: compared by its definition, its rows come from its query"
        if self.kind == "f":
            return f"foreign table: compared by its definition, its rows live on the foreign server {self.server}"
        if self.oid in excluded:
            return excluded[self.oid]
        if self.extension is not None and not self.is_configuration:
            return f"belongs to the extension {self.extension}, which brings its rows"
        if self.persistence == "u" and not unlogged:
            return "unlogged table: crash recovery and standbys empty it"
        return None


def select_tables(
    session: Session, *, exclude: Mapping[str, str], only: Iterable[str] | None, unlogged: bool
) -> Selection:
    """Find the tables, check that every row of them can be read, lock them against change, and read their columns.

    :param exclude: qualified names that are left out, each with its reason; a partitioned table stands for its leaves.
    :param only: the tables to take, None for all.
    :param unlogged: whether unlogged tables hold rows that are compared.
    :raises InsufficientRights: naming every table that this role may not read.
    :raises RowsHidden: naming every table of which row-level security would hide rows.
    """
    relations = [_Relation(*row) for row in rows(session, _RELATIONS)]
    unlogged = unlogged and not scalar(session, "SELECT pg_catalog.pg_is_in_recovery()")
    found = Selection()
    excluded: dict[int, str] = {}
    for name, why in exclude.items():
        oids = _with_leaves(session, name)
        excluded.update(dict.fromkeys(oids, f"{LEFT_OUT}{why}"))
        if not oids:
            found.not_compared.append(NotCompared(object=name, why=f"{LEFT_OUT}{why}; there is no such table"))
    wanted = None if only is None else _wanted(session, only)
    chosen = []
    for relation in relations:
        if relation.kind == "p" or (wanted is not None and relation.oid not in wanted):
            continue  # a partitioned table counts through its leaves
        why_not = relation.why_not(excluded, unlogged=unlogged)
        if why_not is None:
            chosen.append(relation)
        else:
            found.not_compared.append(NotCompared(object=relation.name, why=why_not))
    _refuse_unreadable(session, chosen)
    _lock(session, [relation.name for relation in chosen])
    found.tables = _with_columns(session, chosen)
    if only is None:
        found.not_compared += _temporary_tables(session)
    return found


class Listed(NamedTuple):
    """A table that there is.

    :param size: bytes of the table and its TOAST.
    :param why_not: why its rows are not compared; None when they are.
    """

    name: str
    size: int
    why_not: str | None


def list_tables(session: Session, exclude: Mapping[str, str]) -> list[Listed]:
    """Every table that there is now; none is locked or read, and it does not matter who may read it.

    :param exclude: as for ``select_tables``.
    """
    excluded = {oid: f"{LEFT_OUT}{why}" for name, why in exclude.items() for oid in _with_leaves(session, name)}
    return [
        Listed(relation.name, relation.size or 0, relation.why_not(excluded, unlogged=True))
        for relation in (_Relation(*row) for row in rows(session, _RELATIONS))
        if relation.kind != "p"
    ]


def _with_leaves(session: Session, name: str) -> set[int]:
    """OIDs of a table by its name, of its leaves when it is partitioned; empty when there is no such table."""
    query = """
        WITH RECURSIVE tree (oid, kind) AS (
            SELECT c.oid, c.relkind FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)
            UNION
            SELECT c.oid, c.relkind FROM tree
              JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid AND tree.kind = 'p'
              JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
        ) SELECT oid FROM tree
    """
    return {row[0] for row in rows(session, query, [name])}


def _wanted(session: Session, names: Iterable[str]) -> set[int]:
    found = {name: _with_leaves(session, name) for name in names}
    missing = sorted(name for name, oids in found.items() if not oids)
    if missing:
        raise SourceError(
            f"database {session.info.dbname} has no table {', '.join(missing)}; "
            "give qualified names, quoted as SQL needs them, such as public.users"
        )
    return set().union(*found.values())


def _refuse_unreadable(session: Session, relations: list[_Relation]) -> None:
    where = f"database {session.info.dbname}"
    unreadable = [relation.name for relation in relations if not relation.readable]
    if unreadable:
        raise InsufficientRights(
            f"{where}: role {session.info.user} may not read {', '.join(unreadable)}; "
            "grant it pg_read_all_data (`lifeboat prepare` does), or exclude what must stay out in the policy"
        )
    hidden = [relation.name for relation in relations if relation.hides_rows]
    if hidden:
        raise RowsHidden(
            f"{where}: row-level security would hide rows of {', '.join(hidden)} from role {session.info.user}; "
            "give it BYPASSRLS (`lifeboat prepare` does), or the backup would be incomplete without a word"
        )


def _lock(session: Session, names: list[str]) -> None:
    """Keep the tables from being dropped, rewritten or emptied by TRUNCATE, none of which respects snapshots."""
    for start in range(0, len(names), _LOCKED_AT_ONCE):
        batch = ", ".join(f"ONLY {name}" for name in names[start : start + _LOCKED_AT_ONCE])
        execute(session, f"LOCK TABLE {batch} IN ACCESS SHARE MODE")


def _with_columns(session: Session, relations: list[_Relation]) -> list[Table]:
    stored = "AND a.attgenerated <> 'v'" if session.info.server_version >= _VIRTUAL_SINCE else ""
    columns: dict[int, list[Column]] = {}
    keys: dict[int, list[Column]] = {}
    for oid, *facts, in_key in rows(session, _COLUMNS.replace("{stored}", stored), [[r.oid for r in relations]]):
        column = Column(*facts)
        columns.setdefault(oid, []).append(column)
        if in_key:
            keys.setdefault(oid, []).append(column)
    return [
        Table(r.oid, r.name, r.size or 0, tuple(columns.get(r.oid, ())), tuple(keys.get(r.oid, ()))) for r in relations
    ]


def _temporary_tables(session: Session) -> list[NotCompared]:
    query = """
        SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 't' AND n.nspname ~ '^pg_temp_'
    """
    if not scalar(session, query):
        return []
    return [NotCompared(object="temporary tables", why="they belong to live sessions and are never backed up")]
