"""Digests of normalised definitions: per schema to compare, per object to name what differs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from include.recovery.fingerprint.definition_queries import relation_queries
from include.recovery.fingerprint.object_queries import object_queries
from include.recovery.fingerprint.session import Session, rows

_ITEM_DIGITS = 16

Definition = tuple[str, str, str, str]
"""Schema, kind, identity, and the definition as text."""


def read_definitions(session: Session) -> list[Definition]:
    """Every definition in the database that a dump carries, but for what extensions bring."""
    version = session.info.server_version
    return [
        (str(schema), str(kind), str(identity), str(text))
        for query in (*relation_queries(version), *object_queries(version))
        for schema, kind, identity, text in rows(session, query)
    ]


def read_extensions(session: Session) -> dict[str, str]:
    """Name to version."""
    return dict(rows(session, "SELECT extname::text, extversion FROM pg_catalog.pg_extension ORDER BY 1"))


def schema_digests(definitions: Iterable[Definition]) -> dict[str, str]:
    """Per schema, a SHA-256 over its definitions in any order."""
    schemas: dict[str, list[str]] = {}
    for schema, *definition in definitions:
        schemas.setdefault(schema, []).append("\0".join(definition))
    return {schema: digest(sorted(lines)) for schema, lines in sorted(schemas.items())}


def item_digests(definitions: Iterable[Definition]) -> dict[str, str]:
    """Per object, a short digest, under the kind and name that a message gives it."""
    return {f"{kind} {identity}": short_digest(text) for _, kind, identity, text in definitions}


def mapping_digest(items: Mapping[str, str]) -> str:
    """A SHA-256 over named definitions."""
    return digest(sorted(f"{name}\0{text}" for name, text in items.items()))


def digest(lines: Iterable[str]) -> str:
    """A SHA-256 over lines, as hex."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def short_digest(text: str) -> str:
    """Enough of a SHA-256 to tell that an object changed."""
    return hashlib.sha256(text.encode()).hexdigest()[:_ITEM_DIGITS]
