"""The fingerprint of a database: what it holds, in a form small enough to keep in a manifest."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

METHOD = 1


class Record(BaseModel):
    """Base of every record here: unchangeable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableFingerprint(Record):
    """One table's rows.

    :param rows: exact count.
    :param digest: order-independent sum of whole-row hashes in two seeds, as text; equal means equal rows.
    :param columns: the columns that were hashed, in name order.
    :param coverage: ``full``, or ``sampled`` where the policy chose so (never called identical).
    """

    rows: int
    digest: str
    columns: tuple[str, ...]
    coverage: Literal["full", "sampled"] = "full"


class SequenceFingerprint(Record):
    """A sequence's position."""

    last_value: int
    is_called: bool


class NotCompared(Record):
    """An object that the fingerprint does not cover by content, and why; never silently skipped."""

    object: str
    why: str


class DatabaseFingerprint(Record):
    """Everything that is compared between a source's snapshot and a restored copy.

    Keys are qualified names quoted as SQL needs them (``public.users``, ``"Odd Schema"."tab le"``).

    :param definitions: per schema, a SHA-256 of the normalised definitions of everything in it.
    :param large_objects: count and digest over (oid, content); None when the database has none.
    :param roles: SHA-256 over roles, memberships and settings (never password hashes).
    :param grants: SHA-256 over the privileges on all objects.
    :param extensions: name to version.
    """

    method: Literal[1] = METHOD
    server_version: str
    tables: dict[str, TableFingerprint]
    definitions: dict[str, str]
    sequences: dict[str, SequenceFingerprint]
    large_objects: TableFingerprint | None
    roles: str | None
    grants: str | None
    extensions: dict[str, str]
    not_compared: tuple[NotCompared, ...] = ()


class Difference(Record):
    """One thing that is not equal.

    :param object: its name, such as a table's.
    :param kind: what differs.
    :param message: a sentence with both values: which table, how many rows in each.
    """

    object: str
    kind: Literal["missing", "unexpected", "rows", "content", "definition", "sequence", "large objects", "roles",
                  "grants", "extension", "coverage"]
    message: str


class Comparison(Record):
    """The verdict of comparing a restored copy with its backup's fingerprint."""

    identical: bool
    compared_tables: int
    compared_rows: int
    differences: tuple[Difference, ...]
    not_compared: tuple[NotCompared, ...]
