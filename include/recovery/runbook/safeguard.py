"""Names of the safety copies: what is there now is kept under them before anything is overwritten."""

from __future__ import annotations

from datetime import datetime

from include.recovery.evidence.records import key_time

NAME_BYTES = 63
"""PostgreSQL cuts longer identifiers silently."""
TABLES_PREFIX = "lifeboat_before"


def safety_database(database: str, at: datetime) -> str:
    """The name that a live database gets when a restored one takes its place.

    The same plan gives the same name, so that a repeated step finds its own copy.
    """
    suffix = f"_before_{key_time(at).lower()}"
    room = NAME_BYTES - len(suffix)
    return database.encode()[:room].decode(errors="ignore") + suffix


def safety_schema(at: datetime) -> str:
    """The schema that keeps the present rows of single tables that are replaced."""
    return f"{TABLES_PREFIX}_{key_time(at).lower()}"


def safety_directory(data: str, at: datetime) -> str:
    """Where the data directory of a cluster is kept when a restored one takes its place: beside it."""
    return f"{data}.before-{key_time(at).lower()}"


def staging_schema(at: datetime) -> str:
    """Where the tables of a backup are restored beside the live ones."""
    return f"lifeboat_restored_{key_time(at).lower()}"


def staging_database(database: str, at: datetime) -> str:
    """Where a backup is restored beside the live database before the two change places."""
    suffix = f"_restored_{key_time(at).lower()}"
    room = NAME_BYTES - len(suffix)
    return database.encode()[:room].decode(errors="ignore") + suffix
