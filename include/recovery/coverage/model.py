"""What is found, and what a report of coverage says. Plain data: ``model_dump(mode="json")`` shows all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from include.recovery.evidence.records import Instant, Record


class Found(Record):
    """Something that exists and could be lost.

    :param kind: in one word: ``database``, ``bucket``, ``namespace``, ``repository``.
    :param where: the server or service that has it.
    :param covered_by: what protects it: sources as ``system/source``, or what it is for.
    :param on_purpose: why nobody has to protect it.
    :param note: what else is known of it; a clause.
    """

    kind: str
    where: str
    name: str
    covered_by: tuple[str, ...] = ()
    on_purpose: str = ""
    note: str = ""

    @property
    def alarming(self) -> bool:
        """Whether it is in no policy, and nobody said why."""
        return not self.covered_by and not self.on_purpose

    @property
    def sentence(self) -> str:
        """For people, of something alarming."""
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.kind} {self.name} of {self.where} is in no policy, so nobody backs it up{note}; add a source for "
            "it, or say in 'not_protected' of platform.yaml why it may be lost"
        )


class Unseen(Record):
    """Where could not be looked; what is there may be unprotected.

    :param why: a clause.
    """

    kind: str
    where: str
    why: str


State = Literal["proven", "stale", "backed up", "new", "left out"]


class TableCoverage(Record):
    """A table that exists now.

    :param size: bytes now.
    :param rows: in the newest backup; None when it is not in it.
    :param state: ``proven``: a copy was identical inside the window; ``stale``: only before it; ``backed up``: never,
        and it is in the newest backup; ``new``: it is in no backup yet; ``left out``: on purpose, see ``why``.
    :param backup: the one whose copy was last found identical.
    """

    name: str
    size: int
    rows: int | None
    state: State
    proven_at: Instant | None = None
    backup: str = ""
    why: str = ""

    @property
    def counts(self) -> bool:
        """Whether it counts for the share: what is left out on purpose does not."""
        return self.state != "left out"


class SourceCoverage(Record):
    """A source, and how much of it was restored and verified inside the window.

    :param restored_at: when a copy of it was last restored, whatever was compared.
    :param proven_at: when a whole copy was last found identical.
    :param tables: that exist now; only of PostgreSQL databases.
    :param new_schemas: schemas that no proven backup inside the window has.
    :param gone: tables of the newest backup that do not exist any more.
    :param problem: why its tables could not be listed; empty when they were.
    """

    system: str
    source: str
    kind: str
    newest_backup: str = ""
    newest_at: Instant | None = None
    restored_at: Instant | None = None
    proven_at: Instant | None = None
    proven_in_window: bool = False
    tables: tuple[TableCoverage, ...] = ()
    new_schemas: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system}/{self.source}"

    @property
    def unproven(self) -> tuple[TableCoverage, ...]:
        """Tables that nobody has proven inside the window, the largest first."""
        found = (table for table in self.tables if table.counts and table.state != "proven")
        return tuple(sorted(found, key=lambda table: (-table.size, table.name)))

    @property
    def share_of_tables(self) -> float | None:
        """Of those that count; None without any."""
        return _share((1, table) for table in self.tables)

    @property
    def share_of_bytes(self) -> float | None:
        """As the tables are now; None without any."""
        return _share((table.size, table) for table in self.tables)

    @property
    def share_of_rows(self) -> float | None:
        """As the newest backup counted them; tables that it lacks have none. None without any."""
        return _share((table.rows or 0, table) for table in self.tables)


class Coverage(Record):
    """All of it.

    :param window_seconds: how long a proof counts.
    """

    at: Instant
    window_seconds: float
    found: tuple[Found, ...]
    unseen: tuple[Unseen, ...] = ()
    sources: tuple[SourceCoverage, ...] = ()

    @property
    def unprotected(self) -> tuple[Found, ...]:
        """What exists and is in no policy."""
        return tuple(found for found in self.found if found.alarming)

    def plain(self) -> dict[str, object]:
        """Everything as plain JSON, with what is worked out from it."""
        sources = [
            source.model_dump(mode="json")
            | {
                "share_of_tables": source.share_of_tables,
                "share_of_bytes": source.share_of_bytes,
                "share_of_rows": source.share_of_rows,
                "unproven": [table.name for table in source.unproven],
            }
            for source in self.sources
        ]
        return self.model_dump(mode="json", exclude={"sources"}) | {
            "sources": sources,
            "unprotected": [found.sentence for found in self.unprotected],
        }


def _share(weighed: Iterable[tuple[int, TableCoverage]]) -> float | None:
    counted = [(weight, table.state == "proven") for weight, table in weighed if table.counts]
    whole = sum(weight for weight, _ in counted)
    if not whole:
        return float(all(proven for _, proven in counted)) if counted else None
    return sum(weight for weight, proven in counted if proven) / whole
