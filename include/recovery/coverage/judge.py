"""From listings, backups and proofs to a report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from include.recovery.coverage.model import Found, State, TableCoverage
from include.recovery.fingerprint.model import DatabaseFingerprint
from include.recovery.policy.platform_models import NotProtected


@dataclass(frozen=True)
class LiveTable:
    """A table that exists now.

    :param size: bytes.
    :param why_not: why its rows are not backed up or not compared; empty when they are.
    """

    name: str
    size: int
    why_not: str = ""


@dataclass(frozen=True)
class Held:
    """What a backup held.

    :param rows: of each table that was fingerprinted row by row, by its qualified name.
    :param schemas: their plain names.
    """

    backup: str
    rows: Mapping[str, int] = field(default_factory=dict)
    schemas: frozenset[str] = frozenset()

    @classmethod
    def of(cls, backup: str, fingerprint: DatabaseFingerprint | None) -> Held:
        """From a manifest's fingerprint. A sample proves nothing about a table."""
        if fingerprint is None:
            return cls(backup)
        full = {name: each.rows for name, each in fingerprint.tables.items() if each.coverage == "full"}
        return cls(backup, full, frozenset(fingerprint.definitions))


@dataclass(frozen=True)
class Proven:
    """A backup whose copy was found identical.

    :param at: when.
    """

    at: datetime
    held: Held


@dataclass(frozen=True)
class Judged:
    """What became of a database's tables; the fields of ``SourceCoverage``."""

    tables: tuple[TableCoverage, ...]
    new_schemas: tuple[str, ...]
    gone: tuple[str, ...]


def judge(
    live: Iterable[LiveTable],
    schemas: Iterable[str],
    *,
    newest: Held | None,
    proven: Sequence[Proven],
    now: datetime,
    window: timedelta,
) -> Judged:
    """Hold the tables that exist against the backups that were proven.

    :param live: all tables; a name is what makes a table the same.
    :param newest: the newest backup that can be used; None when there is none.
    :param proven: in any order; proofs from the future prove nothing.
    :param window: how long a proof counts.
    """
    known = sorted((each for each in proven if each.at <= now), key=lambda each: each.at)
    last = {table: each for each in known for table in each.held.rows}
    held = newest.rows if newest is not None else {}
    tables = tuple(_table(table, held, last.get(table.name), now - window) for table in sorted(live, key=_by_name))
    seen = set[str]().union(*(each.held.schemas for each in known if each.at >= now - window))
    there = {table.name for table in tables}
    return Judged(tables, tuple(sorted(set(schemas) - seen)), tuple(sorted(set(held) - there)))


def excused(found: Found, entries: Iterable[NotProtected]) -> Found:
    """Something found, with the reason why it needs no protection, when the platform gives one.

    What a policy protects stays protected, whatever the patterns say.
    """
    if found.covered_by:
        return found
    names = (f"{found.kind} {found.name}", f"{found.kind} {found.where}/{found.name}")
    for entry in entries:
        if any(fnmatchcase(name, entry.what) for name in names):
            return found.model_copy(update={"on_purpose": entry.why})
    return found


def _table(table: LiveTable, held: Mapping[str, int], proof: Proven | None, since: datetime) -> TableCoverage:
    rows = held.get(table.name)
    if table.why_not:
        return TableCoverage(name=table.name, size=table.size, rows=rows, state="left out", why=table.why_not)
    if proof is None:
        state: State = "backed up" if rows is not None else "new"
        return TableCoverage(name=table.name, size=table.size, rows=rows, state=state)
    return TableCoverage(
        name=table.name, size=table.size, rows=rows, state="proven" if proof.at >= since else "stale",
        proven_at=proof.at, backup=proof.held.backup,
    )  # fmt: skip


def _by_name(table: LiveTable) -> str:
    return table.name

