"""The database beside the live one that a backup is restored to before the two change places."""

from __future__ import annotations

import psycopg
from psycopg import sql

from include.recovery.errors import Refused
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import MAINTENANCE_DATABASE, PostgresServer

MARK = "_restored_"
"""In the name of every database that ``safeguard.staging_database`` names."""


def drop_staging(server: PostgresServer) -> bool:
    """Remove what an earlier try has left; whether there was anything.

    :param server: the staging database; it need not exist.
    :raises Refused: when the name is not that of a staging database: this function deletes nothing else.
    """
    if MARK not in server.database:
        raise Refused(
            f"{server.redacted} is not a database that Lifeboat has restored beside a live one (their names hold "
            f"{MARK!r}); nothing was deleted"
        )
    try:
        with server.with_database(MAINTENANCE_DATABASE).connect() as connection:
            there = connection.execute(
                "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [server.database]
            ).fetchone()
            if there is None:
                return False
            name = sql.Identifier(server.database)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            return True
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "removing a staging database") from error
