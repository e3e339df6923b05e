"""The tables of a database now, and those that its backups held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.model import Backup, ProofLevel
from include.recovery.coverage.judge import Held, LiveTable, Proven
from include.recovery.fingerprint.session import rows
from include.recovery.fingerprint.tables import USER_SCHEMA, extension_of, list_tables
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import PostgresServer

_SCHEMAS = (
    "SELECT n.nspname::text FROM pg_catalog.pg_namespace n"  # noqa: S608 - of this project's own text
    f" WHERE {USER_SCHEMA} AND {extension_of('pg_namespace', 'n.oid')} IS NULL"
)


@dataclass(frozen=True)
class Stored:
    """What one store lists of a source."""

    catalog: Catalog
    backups: Sequence[Backup]


@dataclass(frozen=True)
class Live:
    """What a database has now."""

    tables: tuple[LiveTable, ...]
    schemas: tuple[str, ...]


def live_tables(server: PostgresServer, source: PostgresSource) -> Live:
    """Every table and schema of a source's database, as the role sees the catalogs; nothing is locked or read.

    :param server: the source, as the backup role.
    :raises SourceUnavailable, SourceError: when it cannot be asked.
    """
    exclude = {entry.table: entry.why for entry in source.exclude}
    try:
        with server.connect() as session:
            listed = list_tables(session, exclude)
            schemas = tuple(str(name) for (name,) in rows(session, _SCHEMAS))
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "listing its tables") from error
    return Live(tuple(LiveTable(each.name, each.size, each.why_not or "") for each in listed), schemas)


def proven_backups(
    stored: Sequence[Stored], kind: str, now: datetime, window: timedelta
) -> Iterator[Proven]:
    """Backups whose whole copy was found identical, what was proven last first; each is read only when it is asked for.

    Of those outside the window, only the last one.

    :raises LifeboatError: when a manifest cannot be read.
    """
    found = [
        (proof.at, row.manifest.id, row, each.catalog)
        for each in stored
        for row in each.backups
        for proof in row.proofs
        if row.manifest.kind == kind and proof.ok and proof.level is ProofLevel.IDENTICAL and proof.at <= now
    ]
    seen: set[str] = set()
    for at, backup, row, catalog in sorted(found, key=lambda each: each[:2], reverse=True):
        if backup in seen:
            continue
        seen.add(backup)
        yield Proven(at, Held.of(backup, catalog.complete(row).manifest.fingerprint))
        if at < now - window:
            return
