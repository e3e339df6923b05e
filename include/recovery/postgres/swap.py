"""A restored database takes the live one's place. The live one is kept, closed, under another name.

Everything that can fail without harm comes first; the exchange itself is two renames in one transaction. Each function
may be repeated after a crash: it finds out how far the earlier try came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from include.recovery.errors import Refused, SourceUnavailable
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.names import literal, quote
from include.recovery.postgres.server import MAINTENANCE_DATABASE, PostgresServer, sql

_LISTS = ("search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries",
          "shared_preload_libraries", "unix_socket_directories")
"""Settings that are lists of names: stored as SQL text already, and not to be quoted as a whole."""
_TERMINATE = """
    SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity
     WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND backend_type IN ('client backend', 'walsender')
"""


@dataclass(frozen=True)
class DatabaseSwap:
    """What a swap did.

    :param kept_as: where the former live database is, closed to all; None when there was none.
    :param repeated: whether an earlier try had done it already.
    """

    live: str
    kept_as: str | None
    repeated: bool


def isolate(server: PostgresServer, *, wait: float = 30.0, pause: Callable[[float], None] = time.sleep) -> None:
    """Let nobody into a database any more, and end the sessions that are in it. ``release`` opens it again.

    :param server: the database, seen as its owner or a superuser.
    :param wait: seconds until all sessions must be gone.
    :raises SourceUnavailable: when sessions stay; the database is open again then.
    """
    try:
        with server.with_database(MAINTENANCE_DATABASE).connect() as connection:
            _allow(connection, server.database, False)
            for _ in range(max(1, int(wait / 0.2))):
                row = connection.execute(_TERMINATE, (server.database,)).fetchone()
                if row is None or row[0] == 0:
                    return
                pause(0.2)
            _allow(connection, server.database, True)
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "isolating the database") from error
    raise SourceUnavailable(
        f"{server.redacted}: sessions could not be ended in {wait:.0f} s; the database is open again: stop the "
        f"services that use it, then try again"
    )


def release(server: PostgresServer) -> None:
    """Let sessions into a database again."""
    try:
        with server.with_database(MAINTENANCE_DATABASE).connect() as connection:
            _allow(connection, server.database, True)
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "opening the database again") from error


def swap_database(admin: PostgresServer, *, live: str, restored: str, keep_as: str) -> DatabaseSwap:
    """Put a restored database in the live one's place.

    Owner, privileges, settings and comment of the live database are carried over. To undo a swap, swap again with
    ``restored=<kept_as>`` and another ``keep_as``.

    :param admin: the server, as a role that owns both databases and may rename (CREATEDB), or a superuser.
    :param keep_as: the live database's new name.
    :raises Refused: when the names do not fit what is there; nothing was touched.
    """
    try:
        with admin.with_database(MAINTENANCE_DATABASE).connect() as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_catalog.pg_database")}
            if live in there and keep_as in there and restored not in there:
                _allow(connection, live, True)
                return DatabaseSwap(live, keep_as, repeated=True)
            if live not in there and restored in there:
                # Somebody has dropped the live database: there is nothing to keep, and nothing to carry over.
                connection.execute(sql(f"ALTER DATABASE {quote(restored)} RENAME TO {quote(live)}"))
                return DatabaseSwap(live, None, repeated=False)
            _refuse_unfit(admin, there, live, restored, keep_as)
            _carry_over(connection, live, restored)
        isolate(admin.with_database(live))
        try:
            isolate(admin.with_database(restored))
            with admin.with_database(MAINTENANCE_DATABASE).connect(autocommit=False) as connection:
                connection.execute(sql(f"ALTER DATABASE {quote(live)} RENAME TO {quote(keep_as)}"))
                connection.execute(sql(f"ALTER DATABASE {quote(restored)} RENAME TO {quote(live)}"))
                _allow(connection, live, True)
                connection.commit()
        except BaseException:
            release(admin.with_database(live))
            raise
    except psycopg.Error as error:
        raise meaning_of_session(error, admin.with_database(live), f"swapping in {restored}") from error
    return DatabaseSwap(live, keep_as, repeated=False)


def _refuse_unfit(admin: PostgresServer, there: set[str], live: str, restored: str, keep_as: str) -> None:
    missing = [name for name in (live, restored) if name not in there]
    if missing:
        raise Refused(
            f"{admin.host}:{admin.port}: no database {' and no database '.join(missing)}; nothing was touched: restore "
            f"first, and see which databases there are"
        )
    if keep_as in there:
        raise Refused(
            f"{admin.host}:{admin.port}: a database {keep_as} exists already, so the live one cannot be kept under "
            f"that name; nothing was touched: give another name"
        )


def _allow(connection: psycopg.Connection[Any], database: str, allowed: bool) -> None:
    connection.execute(sql(f"ALTER DATABASE {quote(database)} ALLOW_CONNECTIONS {str(allowed).lower()}"))


def _carry_over(connection: psycopg.Connection[Any], live: str, restored: str) -> None:
    """Give a database everything that belongs to another one itself and is not inside it."""
    name = quote(restored)
    row = connection.execute(
        "SELECT r.rolname, d.datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database'), d.datacl IS NULL"
        "  FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE d.datname = %s", (live,)
    ).fetchone()
    assert row is not None
    owner, limit, comment, default_rights = row
    statements = [
        f"ALTER DATABASE {name} OWNER TO {quote(owner)}",
        f"ALTER DATABASE {name} CONNECTION LIMIT {limit}",
        f"COMMENT ON DATABASE {name} IS {literal(comment) if comment is not None else 'NULL'}",
        f"ALTER DATABASE {name} RESET ALL",
    ]
    for role, setting in connection.execute(
        "SELECT r.rolname, pg_catalog.unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s"
        "  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole"
        " WHERE d.datname = %s", (live,)
    ).fetchall():
        variable, _, value = setting.partition("=")
        subject = f"ROLE {quote(role)} IN DATABASE {name}" if role else f"DATABASE {name}"
        constant = value if variable in _LISTS and value else literal(value)
        statements.append(f"ALTER {subject} SET {'.'.join(map(quote, variable.split('.')))} TO {constant}")
    if not default_rights:
        statements += _rights(connection, live, restored)
    with connection.transaction():
        for statement in statements:
            connection.execute(sql(statement))


def _rights(connection: psycopg.Connection[Any], live: str, restored: str) -> list[str]:
    """Privileges on one database as statements about another."""
    query = (
        "SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type,"
        " a.is_grantable FROM pg_catalog.pg_database d, LATERAL pg_catalog.aclexplode("
        "coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a WHERE d.datname = %s"
    )
    name = quote(restored)
    present = {row[0] for row in connection.execute(query, (restored,))}
    statements = [
        f"REVOKE ALL ON DATABASE {name} FROM {'PUBLIC' if grantee is None else quote(grantee)}"
        for grantee in sorted(present, key=str)
    ]
    for grantee, privilege, grantable in connection.execute(query, (live,)).fetchall():
        to = "PUBLIC" if grantee is None else quote(grantee)
        statements.append(f"GRANT {privilege} ON DATABASE {name} TO {to}{' WITH GRANT OPTION' if grantable else ''}")
    return statements
