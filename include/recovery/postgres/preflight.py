"""Can this role back this database up as it is? All that is missing is named at once, before anything is dumped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import psycopg

from include.recovery.catalog.model import LeftOut
from include.recovery.errors import InsufficientRights, RowsHidden, SourceError, SourceUnavailable
from include.recovery.postgres.names import parse_qualified
from include.recovery.postgres.server import PostgresServer, sql

SHOWN = 20
"""Names that a message lists before it says how many more there are."""

USER_SCHEMA = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
NOT_OF_EXTENSION = (
    "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    " AND d.objid = c.oid AND d.deptype = 'e')"
)
NAME = "pg_catalog.format('%I.%I', n.nspname, c.relname)"

_SCHEMAS = f"""
    SELECT pg_catalog.format('schema %I', n.nspname), 'USAGE' FROM pg_catalog.pg_namespace n
     WHERE {USER_SCHEMA} AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
       AND EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'S'))
"""  # noqa: S608 - constants of this module
_RELATIONS = f"""
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || {NAME}, 'SELECT'
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND {USER_SCHEMA} AND {NOT_OF_EXTENSION}
       AND CASE c.relkind WHEN 'S' THEN NOT pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                          ELSE NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') END
     ORDER BY 1
"""  # noqa: S608
_LARGE_OBJECTS = """
    SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m
     WHERE pg_catalog.current_setting('lo_compat_privileges') = 'off'
       AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
                       AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
     ORDER BY m.oid
"""
_HIDDEN = f"""
    SELECT {NAME} FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND {USER_SCHEMA} AND {NOT_OF_EXTENSION}
       AND pg_catalog.row_security_active(c.oid)
     ORDER BY 1
"""  # noqa: S608
_TABLES = f"""
    SELECT {NAME} FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {USER_SCHEMA} AND {NOT_OF_EXTENSION} ORDER BY 1
"""  # noqa: S608
_LEAVES = """
    SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
      FROM pg_catalog.pg_partition_tree(%s::pg_catalog.regclass) t
      JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE t.isleaf AND c.relkind = 'r' ORDER BY 1
"""
_SUBSCRIPTIONS = """
    SELECT s.subname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
     WHERE d.datname = pg_catalog.current_database() ORDER BY 1
"""
_MAPPINGS = """
    SELECT pg_catalog.format('user mapping of %I for server %I', m.usename, m.srvname)
      FROM pg_catalog.pg_user_mappings m WHERE m.umoptions IS NULL ORDER BY 1
"""


@dataclass(frozen=True)
class Readiness:
    """What a database's backup can hold.

    :param role: the role that reads.
    :param exclude: the tables whose rows are left out (partitioned tables as their leaves), with the reason.
    :param passwords: whether password hashes can be read.
    :param subscriptions: whether subscriptions can be read.
    :param left_out: everything that the backup will not contain, for the manifest.
    :param tables: how many tables there are.
    """

    role: str
    exclude: Mapping[str, str]
    passwords: bool
    subscriptions: bool
    left_out: tuple[LeftOut, ...]
    tables: int


def check(server: PostgresServer, exclude: Mapping[str, str] | None = None) -> Readiness:
    """Whether the role can read everything: all definitions, and all rows that the policy does not exclude.

    :param exclude: qualified names of tables whose rows the policy leaves out, each with its reason.
    :raises InsufficientRights: naming every object that it may not read.
    :raises RowsHidden: naming every table whose rows row-level security would hide.
    :raises SourceError: when an excluded table does not exist.
    """
    try:
        with server.connect() as connection:
            return _check(connection, server, dict(exclude or {}))
    except psycopg.OperationalError as error:
        raise SourceUnavailable(
            f"{server.redacted}: the server went away during the precheck: {error}; try again when it runs"
        ) from error


def _check(connection: psycopg.Connection[Any], server: PostgresServer, exclude: dict[str, str]) -> Readiness:
    _let_large_objects_be_read(connection)
    known = [row[0] for row in connection.execute(sql(_TABLES))]
    excluded = _excluded(connection, server, exclude, known)
    # Checks of rights by name need the schemas first: without USAGE nothing else in them can be asked for.
    missing = [f"{right} on {what}" for what, right in connection.execute(sql(_SCHEMAS))]
    # Excluded tables are no exception: their definitions are dumped, for which pg_dump locks them.
    missing += [f"{right} on {what}" for what, right in connection.execute(sql(_RELATIONS))]
    missing += [f"SELECT on large object {oid}" for (oid,) in connection.execute(sql(_LARGE_OBJECTS))]
    if missing:
        raise InsufficientRights(
            f"{server.redacted}: the role lacks {_listed(missing)}; grant these, as `lifeboat prepare` does"
        )
    hidden = [row[0] for row in connection.execute(sql(_HIDDEN)) if row[0] not in excluded]
    if hidden:
        raise RowsHidden(
            f"{server.redacted}: row-level security would hide rows of {_listed(hidden)} from the role; give it "
            f"BYPASSRLS (`lifeboat prepare` does), or exclude the tables in the policy with a reason"
        )
    superuser = _one(connection, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    passwords = bool(_one(connection, "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')"))
    left_out = [LeftOut(what=f"rows of table {name}", why=why) for name, why in excluded.items()]
    if not passwords:
        left_out.append(LeftOut(what="passwords of roles", why="the role may not read pg_authid"))
    if not superuser:
        left_out += [LeftOut(what=f"subscription {name}", why="only a superuser may read subscriptions")
                     for (name,) in connection.execute(sql(_SUBSCRIPTIONS))]
        left_out += [LeftOut(what=f"options of {name}", why="only its owner or a superuser may read them")
                     for (name,) in connection.execute(sql(_MAPPINGS))]
    return Readiness(
        role=str(_one(connection, "SELECT current_user")), exclude=excluded, passwords=passwords,
        subscriptions=bool(superuser), left_out=tuple(left_out), tables=len(known),
    )


def _let_large_objects_be_read(connection: psycopg.Connection[Any]) -> None:
    """Call the function that ``prepare`` installs: large objects have no default privileges to rely on."""
    if _one(connection, "SELECT pg_catalog.to_regprocedure('lifeboat.let_large_objects_be_read()') IS NOT NULL"):
        allowed = _one(connection, "SELECT pg_catalog.has_function_privilege("
                                   "'lifeboat.let_large_objects_be_read()', 'EXECUTE')"
                                   " AND pg_catalog.has_schema_privilege('lifeboat', 'USAGE')"
                                   " AND NOT pg_catalog.pg_is_in_recovery()")
        if allowed:
            connection.execute("SELECT lifeboat.let_large_objects_be_read()")


def _excluded(
    connection: psycopg.Connection[Any], server: PostgresServer, exclude: Mapping[str, str], known: Sequence[str]
) -> dict[str, str]:
    """The tables to leave out as the server quotes them, partitioned ones replaced by their leaves."""
    result: dict[str, str] = {}
    unknown: list[str] = []
    for written, why in exclude.items():
        schema, name = parse_qualified(written)
        row = connection.execute("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", (schema, name)).fetchone()
        assert row is not None
        qualified = str(row[0])
        if qualified not in known:
            near = get_close_matches(qualified, known, n=3)
            unknown.append(qualified + (f" (did you mean {' or '.join(near)}?)" if near else ""))
            continue
        result[qualified] = why
        for (leaf,) in connection.execute(sql(_LEAVES), (qualified,)):
            result[leaf] = why
    if unknown:
        raise SourceError(
            f"{server.redacted}: the policy excludes {_listed(unknown)}, which does not exist; correct the name, or "
            f"take it out of the policy if the table is gone"
        )
    return result


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(sql(query)).fetchone()
    assert row is not None
    return row[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
