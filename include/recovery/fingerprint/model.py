"""The fingerprint of a database: what it holds, in a form small enough to keep in a manifest."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

METHOD: Final = 1

Mode = Literal["record", "text"]
"""How rows are hashed: as records, or (PostgreSQL before 14) by their text. Only equal modes can be compared."""


class Record(BaseModel):
    """Base of every record here: unchangeable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableFingerprint(Record):
    """One table's rows.

    :param rows: exact count.
    :param digest: order-independent sum of whole-row hashes in two seeds, as text; equal means equal rows.
    :param columns: the columns that were hashed, in name order.
    :param coverage: ``full``, or ``sampled`` where the policy chose so (never called identical).
    :param buckets: the rows' hashes spread over a few buckets, a check number for each; tells about how many rows
        differ when two digests do. Empty where it was not measured.
    """

    rows: int
    digest: str
    columns: tuple[str, ...]
    coverage: Literal["full", "sampled"] = "full"
    buckets: str = ""


class SequenceFingerprint(Record):
    """A sequence's position.

    :param increment: its step; negative when it counts down.
    """

    last_value: int
    is_called: bool
    increment: int = 1

    @property
    def next_value(self) -> int:
        """What ``nextval`` returns next."""
        return self.last_value + (self.increment if self.is_called else 0)


class NotCompared(Record):
    """An object that the fingerprint does not cover by content, and why; never silently skipped."""

    object: str
    why: str


class DatabaseFingerprint(Record):
    """Everything that is compared between a source's snapshot and a restored copy.

    Keys are qualified names quoted as SQL needs them (``public.users``, ``"Odd Schema"."tab le"``).

    :param scope: ``tables`` when only the rows of named tables were measured.
    :param sample: the share of rows that was hashed, 1 for all; counts are exact in any case.
    :param definitions: per schema, a SHA-256 of the normalised definitions of everything in it; what lies in no schema
        is under ``(database)``.
    :param large_objects: count and digest over (oid, content); None when the database has none.
    :param roles: SHA-256 over roles, memberships and settings (never password hashes).
    :param grants: SHA-256 over the owners of and privileges on all objects.
    :param extensions: name to version.
    :param items: a short digest for each definition, role and grant by name, so that a difference can be named.
    """

    method: Literal[1] = METHOD
    mode: Mode = "record"
    scope: Literal["database", "tables"] = "database"
    sample: float = 1.0
    server_version: str
    tables: dict[str, TableFingerprint]
    definitions: dict[str, str]
    sequences: dict[str, SequenceFingerprint]
    large_objects: TableFingerprint | None
    roles: str | None
    grants: str | None
    extensions: dict[str, str]
    items: dict[str, str] = {}
    not_compared: tuple[NotCompared, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return sum(table.rows for table in self.tables.values())


DifferenceKind = Literal[
    "missing", "unexpected", "rows", "content", "definition", "sequence", "large objects", "roles", "grants",
    "extension", "coverage", "export",
]  # fmt: skip


class Difference(Record):
    """One thing that is not equal.

    :param object: its name, such as a table's.
    :param kind: what differs.
    :param message: a sentence with both values: which table, how many rows in each.
    """

    object: str
    kind: DifferenceKind
    message: str


class Comparison(Record):
    """The verdict of comparing a restored copy with its backup's fingerprint.

    :param identical: every row of every table was compared and all is equal; never for a sample.
    :param equal_as_far_as_compared: no difference was found; with ``sampled_tables`` that is a probability.
    :param confidence: what a sample proves, in words; None when every row was hashed.
    :param compared_exports: CSV exports that were made again from the copy.
    :param unit: what was compared one by one: a ``row`` of a table, or an item of another source, such as a ``file``.
    """

    identical: bool
    compared_tables: int
    compared_rows: int
    differences: tuple[Difference, ...]
    not_compared: tuple[NotCompared, ...]
    sampled_tables: int = 0
    confidence: str | None = None
    unit: str = "row"
    compared_exports: int = 0

    @property
    def equal_as_far_as_compared(self) -> bool:
        """Whether nothing was found that differs."""
        return not self.differences

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        what = _count(self.compared_rows, self.unit)
        if self.unit == "row":
            what += f" in {_count(self.compared_tables, 'table')}"
        if self.compared_exports:
            what += f" and {_count(self.compared_exports, 'export')}"
        if self.identical:
            return f"identical: {what} compared, every one equal"
        if not self.differences:
            return f"no difference found, which is not the word identical: {what}; {self.confidence}"
        kinds = Counter(difference.kind for difference in self.differences)
        found = ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))
        return f"not identical: {_count(len(self.differences), 'difference')} ({found}) in {what}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
