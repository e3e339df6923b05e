"""The stand-in of a rehearsal: a damaged database on a scratch server, so that it too has something to save."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from include.recovery.postgres.names import parse_qualified
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.plan import PlannedSource, RecoveryPlan
from include.recovery.sources import RunInfo, verbs

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

DAMAGE = """
    CREATE TABLE public.damaged_by_rehearsal AS
    SELECT number, md5(number::text) AS nonsense FROM generate_series(1, 1000) AS number
"""
HALF = """
    DELETE FROM {table} WHERE (tableoid, ctid) IN (
        SELECT tableoid, ctid FROM (SELECT tableoid, ctid, row_number() OVER () AS number FROM {table}) AS numbered
        WHERE number % 2 = 0)
"""


def build_stand_in(
    workspace: Workspace,
    plan: RecoveryPlan,
    planned: PlannedSource,
    server: PostgresServer,
    *,
    run: RunInfo,
    stop: threading.Event,
) -> None:
    """Make the database that a rehearsal recovers; made twice, it is made anew.

    For a corrupt database it holds nothing but nonsense. For corrupt tables it is the backup itself with every second
    row of those tables gone, so that keys, triggers and dependants are the real ones.

    :param server: the scratch server's database of the source's name, which need not exist yet.
    """
    with server.with_database("postgres").connect() as connection:
        name = sql.Identifier(server.database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        if not planned.tables:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    if planned.tables:
        backup = workspace.catalog(planned.store).backup(plan.system, planned.source, planned.kind, planned.backup)
        verbs(planned.kind).restore(
            workspace, backup, server, store=planned.store, database=server.database, run=run, stop=stop
        )
    with server.connect() as connection:
        if planned.tables:
            for table in planned.tables:
                _damage(connection, table)
        else:
            connection.execute(DAMAGE)


def _damage(connection: psycopg.Connection[Any], table: str) -> None:
    """Take every second row away, whatever refers to it: that is what corruption does."""
    schema, name = parse_qualified(table)
    target = sql.Identifier(schema, name)
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(sql.SQL(HALF).format(table=target))
