"""The objects that a database names, streamed in the order of their bytes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from psycopg import sql

from include.recovery.postgres.server import PostgresServer

if TYPE_CHECKING:
    from include.recovery.policy.models import Reconcile

_BATCH = 5000


def named_objects(server: PostgresServer, pair: Reconcile) -> Iterator[str]:
    """The keys that a query of the policy gives, each once, in order. Flat memory; nothing can be changed by it.

    :param server: the database, live or a copy.
    """
    wanted = sql.SQL(pair.sql.rstrip("; \n"))
    ordered = sql.SQL('SELECT DISTINCT k::text COLLATE "C" FROM ({}) AS named(k) WHERE k IS NOT NULL ORDER BY 1')
    # As with the policy's questions: unqualified names are looked up in public, and nothing can be written.
    settings = {"default_transaction_read_only": "on", "search_path": "public"}
    with (
        server.connect(autocommit=False, settings=settings) as connection,
        connection.cursor(f"lifeboat_{secrets.token_hex(4)}") as cursor,
    ):
        cursor.itersize = _BATCH
        cursor.execute(ordered.format(wanted))
        for row in cursor:
            yield str(row[0])
