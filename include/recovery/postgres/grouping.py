"""Which tables get a dump stream of their own: pure planning.

A restore of one table reads that table's whole part and nothing else, so every table that matters by size gets a part
of its own. Small ones share parts, so that thousands of tables do not become thousands of pg_dump runs. Whatever is in
no group is in the rest, which is dumped by exclusion: a table that nobody planned for cannot be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1024 * 1024
ALONE_SHARE = 64
"""A table of at least 1/64 of the database (1.6 %) is alone in its part ..."""
ALONE_MINIMUM = MIB
"""... unless it is smaller than this many bytes."""
GROUP_MINIMUM = 16 * MIB
"""Smaller tables share parts of about this size or 1/64 of the database, whichever is more."""
PATTERN_BYTES = 512 * 1024
"""Names that one command line may carry; the kernel allows about 2 MiB."""


@dataclass(frozen=True)
class SizedTable:
    """A table that holds rows.

    :param qualified: the name as the server quotes it.
    :param size: bytes without indexes.
    """

    schema: str
    name: str
    qualified: str
    size: int

    @property
    def relation(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name


@dataclass(frozen=True)
class Group:
    """Tables whose rows share one part."""

    name: str
    tables: tuple[SizedTable, ...]

    @property
    def size(self) -> int:
        """Bytes of all its tables."""
        return sum(table.size for table in self.tables)


@dataclass(frozen=True)
class Grouping:
    """The plan of a dump.

    :param groups: longest first.
    :param rest: tables that are left to the rest's stream.
    """

    groups: tuple[Group, ...]
    rest: tuple[SizedTable, ...]

    @property
    def grouped(self) -> list[SizedTable]:
        """All tables that the rest leaves out because another part holds them."""
        return [table for group in self.groups for table in group.tables]

    @property
    def rest_size(self) -> int:
        """Bytes of the rest's tables."""
        return sum(table.size for table in self.rest)


def plan_groups(tables: Sequence[SizedTable], *, share: int = ALONE_SHARE) -> Grouping:
    """Divide tables into parts.

    :param tables: every table whose rows are to be dumped, once.
    :param share: a table of at least this fraction (1/share) of all is alone in its part.
    """
    total = sum(table.size for table in tables)
    alone_from = max(ALONE_MINIMUM, -(-total // share))
    group_size = max(GROUP_MINIMUM, -(-total // share))
    ordered = sorted(tables, key=lambda table: (-table.size, table.qualified))
    alone = [table for table in ordered if table.size >= alone_from]
    bundles: list[list[SizedTable]] = [[table] for table in alone]
    named = sum(_pattern_bytes(table) for table in alone)
    rest: list[SizedTable] = []
    bundle: list[SizedTable] = []
    filled = 0
    small = [table for table in ordered if table.size < alone_from]
    remaining = sum(table.size for table in small)
    for place, table in enumerate(small):
        named += _pattern_bytes(table)
        if named > PATTERN_BYTES or (not bundle and remaining <= group_size):
            rest = small[place:]
            break
        bundle.append(table)
        filled += table.size
        remaining -= table.size
        if filled >= group_size:
            bundles.append(bundle)
            bundle, filled = [], 0
    if bundle:
        bundles.append(bundle)
    bundles.sort(key=lambda members: (-sum(t.size for t in members), members[0].qualified))
    groups = tuple(
        Group(f"{'table' if len(members) == 1 else 'tables'}-{number:04d}", tuple(members))
        for number, members in enumerate(bundles, start=1)
    )
    return Grouping(groups, tuple(rest))


def _pattern_bytes(table: SizedTable) -> int:
    return len(table.schema.encode()) + len(table.name.encode()) + 40
