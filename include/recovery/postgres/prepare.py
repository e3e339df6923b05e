"""Make a database ready for Lifeboat: roles that can do what they must and nothing more. Safe to run again.

    lifeboat_backup      reads everything (also past row-level security), writes nothing
    lifeboat_restore     makes databases and roles, acts for the owners of this database's objects
    lifeboat_functions   cannot log in; owns the few functions that do for the backup role what no grant can

What ``lifeboat_functions`` may do, and why:

- the owners' roles: to grant SELECT on their large objects;
- ``pg_write_all_data`` (from PostgreSQL 17 on ``pg_maintain`` and ``pg_read_all_data``): LOCK TABLE ... IN SHARE MODE,
  which a verifiable recovery point needs, asks for the right to change the table, also where a superuser owns it;
- EXECUTE on ``pg_create_restore_point``: to name a moment in the write-ahead log;
- ``pg_read_all_stats``: to say who held the table that could not be locked;
- it owns ``lifeboat.heartbeat``, which ``lifeboat.beat()`` writes.

The backup role is no member of it. It may call the functions, and so make other writers wait for the tables for as long
as ``functions.py`` allows; it can change no row but the heartbeat's, and no definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from include.recovery.errors import InsufficientRights
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.functions import BEAT, HEARTBEAT, LARGE_OBJECTS, RECOVERY_POINT
from include.recovery.postgres.names import literal, quote
from include.recovery.postgres.server import PostgresServer, sql

BACKUP_ROLE = "lifeboat_backup"
RESTORE_ROLE = "lifeboat_restore"
FUNCTIONS_ROLE = "lifeboat_functions"
_LOCKS = "pg_write_all_data"
_LOCKS_17 = "pg_maintain, pg_read_all_data"
"""``pg_maintain`` allows LOCK TABLE and no change; the other adds USAGE on all schemas."""
_FUNCTIONS = (
    "lifeboat.let_large_objects_be_read()", "lifeboat.beat()", "lifeboat.recovery_point(text, integer, text[])",
)  # fmt: skip

_OWNERS = """
    WITH this AS (SELECT oid, datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    SELECT DISTINCT r.rolname, r.rolsuper FROM (
        SELECT refobjid AS role FROM pg_catalog.pg_shdepend, this
         WHERE dbid = this.oid AND refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND deptype = 'o'
        UNION SELECT datdba FROM this
        UNION SELECT relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'lifeboat')
    ) owners JOIN pg_catalog.pg_roles r ON r.oid = owners.role WHERE r.rolname NOT LIKE 'pg\\_%' ORDER BY 1
"""


@dataclass(frozen=True)
class Prepared:
    """What was made.

    :param notes: what a superuser's help will still be needed for.
    """

    created: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(
    admin: PostgresServer,
    *,
    backup_password: str,
    restore_password: str,
    backup_role: str = BACKUP_ROLE,
    restore_role: str = RESTORE_ROLE,
) -> Prepared:
    """Make the roles and functions that Lifeboat needs in one database. Run it again when owners have changed.

    Passwords are set as SCRAM verifiers, so the server's log never sees them.

    :param admin: the database, as a superuser.
    :raises InsufficientRights: when it is no superuser.
    """
    try:
        with admin.connect() as connection:
            row = connection.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").fetchone()
            if not row or not row[0]:
                raise InsufficientRights(
                    f"{admin.redacted}: only a superuser can give BYPASSRLS and read access to everything; run "
                    f"`lifeboat prepare` with a superuser's connection, once for each database"
                )
            with connection.transaction():
                return _prepare(connection, admin, (backup_role, backup_password), (restore_role, restore_password))
    except psycopg.Error as error:
        raise meaning_of_session(error, admin, "preparing the database") from error


def _prepare(
    connection: psycopg.Connection[Any], admin: PostgresServer, backup: tuple[str, str], restore: tuple[str, str]
) -> Prepared:
    # Two databases of one server may be prepared at once; their roles are shared.
    connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(1818846838, 1)")
    created = [name for name in (backup[0], restore[0], FUNCTIONS_ROLE) if _create(connection, name)]
    owners = connection.execute(sql(_OWNERS)).fetchall()
    version = connection.info.server_version
    database = quote(connection.info.dbname)
    reader, writer, functions = quote(backup[0]), quote(restore[0]), quote(FUNCTIONS_ROLE)
    statements = [
        f"ALTER ROLE {reader} LOGIN BYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
        f" PASSWORD {literal(admin.encrypted_password(backup[1], backup[0]))}",
        f"ALTER ROLE {writer} LOGIN BYPASSRLS CREATEDB CREATEROLE NOSUPERUSER NOREPLICATION"
        f" PASSWORD {literal(admin.encrypted_password(restore[1], restore[0]))}",
        f"ALTER ROLE {functions} NOLOGIN NOSUPERUSER",
        f"GRANT CONNECT ON DATABASE {database} TO {reader}, {writer}",
        f"GRANT SELECT ON pg_catalog.pg_authid TO {reader}",
        # The statistics: a backup waits while sessions queue, and sees only its own role's without them.
        f"GRANT pg_read_all_data, pg_read_all_stats TO {reader}",
        f"GRANT pg_read_all_data, pg_write_all_data, pg_signal_backend, pg_read_all_stats TO {writer}",
        f"GRANT {functions} TO {writer}",
        f"CREATE SCHEMA IF NOT EXISTS lifeboat AUTHORIZATION {functions}",
        "REVOKE ALL ON SCHEMA lifeboat FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA lifeboat TO {reader}",
        f"GRANT {_LOCKS if version < 170000 else _LOCKS_17}, pg_read_all_stats TO {functions}",
        f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_create_restore_point(text) TO {functions}",
        HEARTBEAT,
        f"ALTER TABLE lifeboat.heartbeat OWNER TO {functions}",
        "REVOKE ALL ON TABLE lifeboat.heartbeat FROM PUBLIC",
        f"GRANT SELECT ON TABLE lifeboat.heartbeat TO {reader}",
        LARGE_OBJECTS.replace("{backup_literal}", literal(reader)).replace("{backup}", reader.replace("'", "''")),
        BEAT,
        RECOVERY_POINT,
    ]
    for function in _FUNCTIONS:
        statements += [
            f"ALTER FUNCTION {function} OWNER TO {functions}",
            f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {function} TO {reader}",
        ]
    if version >= 150000:
        statements.append(f"GRANT SET ON PARAMETER session_replication_role TO {writer}")
    own = (backup[0], restore[0], FUNCTIONS_ROLE)
    ordinary = [name for name, is_superuser in owners if not is_superuser and name not in own]
    statements += [f"GRANT {quote(owner)} TO {writer}, {functions}" for owner in ordinary]
    for statement in statements:
        connection.execute(sql(statement))
    notes = [*_notes(owners, version, restore[0]), *_publications(connection)]
    return Prepared(tuple(created), tuple(notes))


def _publications(connection: psycopg.Connection[Any]) -> list[str]:
    """Who publishes all tables publishes the heartbeat too, which subscribers know nothing of."""
    found = connection.execute("SELECT pubname FROM pg_catalog.pg_publication WHERE puballtables ORDER BY 1").fetchall()
    return [
        f"publication {name} is for all tables, and so for lifeboat.heartbeat: make that table at its subscribers "
        f"before the first heartbeat, or replication may stop there"
        for (name,) in found
    ]


def _create(connection: psycopg.Connection[Any], role: str) -> bool:
    if connection.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (role,)).fetchone():
        return False
    connection.execute(sql(f"CREATE ROLE {quote(role)}"))
    return True


def _notes(owners: Sequence[tuple[str, bool]], version: int, restore_role: str) -> list[str]:
    superusers = [name for name, is_superuser in owners if is_superuser]
    notes = []
    if superusers:
        notes.append(
            f"objects owned by the superuser {', '.join(superusers)} can be restored in place only by a superuser, and "
            f"its large objects must be granted by hand; give them to an ordinary role, or use a superuser's "
            f"connection for restores"
        )
    if version < 150000:
        notes.append(f"before PostgreSQL 15 only a superuser can replace a table's rows in place, not {restore_role}")
    return notes
