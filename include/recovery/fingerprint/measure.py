"""Fingerprint a database: every row of every table, and everything else that a restore must bring back."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from include.recovery.errors import SourceError
from include.recovery.fingerprint.access import Items, read_grants, read_roles
from include.recovery.fingerprint.columns import in_name_order
from include.recovery.fingerprint.definitions import (
    Definition,
    item_digests,
    mapping_digest,
    read_definitions,
    read_extensions,
    schema_digests,
    short_digest,
)
from include.recovery.fingerprint.large_objects import fingerprint_large_objects
from include.recovery.fingerprint.model import (
    DatabaseFingerprint,
    Mode,
    NotCompared,
    SequenceFingerprint,
    TableFingerprint,
)
from include.recovery.fingerprint.row_hash import combine, table_query
from include.recovery.fingerprint.sequences import read_sequences
from include.recovery.fingerprint.session import (
    RECORD_HASH_SINCE,
    Connect,
    Session,
    Work,
    execute,
    rows,
    run_on_all,
    scalar,
    snapshot_sessions,
)
from include.recovery.fingerprint.tables import LEFT_OUT, Table, select_tables

Coverage = Literal["full"] | float

ROLE = "role "
BY_POLICY = "the policy excludes it"
_WHOLE_BELOW = 8 * 1024 * 1024
"""Tables smaller than this, in bytes, are hashed whole also in a sample."""


def measure(
    connect: Connect,
    *,
    snapshot: str | None = None,
    exclude: Mapping[str, str] | Iterable[str] = (),
    tables: Iterable[str] | None = None,
    workers: int = 2,
    coverage: Coverage = "full",
    mode: Mode | None = None,
    unlogged: bool = True,
    access: bool = True,
    roles: Collection[str] | None = None,
    sequences: Mapping[str, SequenceFingerprint] | None = None,
    stop: threading.Event | None = None,
) -> DatabaseFingerprint:
    """Fingerprint a database as one snapshot sees it.

    :param connect: makes a new connection to the database; called ``workers`` times, from this thread.
    :param snapshot: the exported snapshot to read in, such as the dump's; its exporter stays open. None takes a new
        one.
    :param exclude: qualified names of tables whose rows are left out, with the reason where it is known; a partitioned
        table stands for all its leaves. They are named in ``not_compared``.
    :param tables: only the rows of these tables; None for the whole database with everything in it.
    :param workers: connections that work at once.
    :param coverage: ``full``, or the share of the rows that is hashed (0.1 for a tenth); counts are exact either way.
    :param mode: how rows are hashed, to compare with a fingerprint of an older server; None for the best there is.
    :param unlogged: False where unlogged tables cannot be expected to hold rows (recovery from WAL).
    :param access: whether roles, owners and privileges are part of it.
    :param roles: names of the roles that the database knows, where the server has those of other databases too; None
        for all of the server.
    :param sequences: positions that were read before the dump began (``read_sequences``); None reads them now.
    :param stop: when set, running queries are cancelled and ``LifeboatError`` is raised.
    :raises InsufficientRights: naming every table that the role may not read.
    :raises RowsHidden: naming every table of which row-level security would hide rows.
    :raises SourceUnavailable: the server cannot be reached, went away, or a table changed while this began.
    """
    share = _share(coverage)
    excluded = dict(exclude) if isinstance(exclude, Mapping) else dict.fromkeys(exclude, BY_POLICY)
    only = None if tables is None else tuple(tables)
    with snapshot_sessions(connect, snapshot, max(workers, 1)) as sessions:
        first = sessions[0]
        if mode is None:
            mode = "record" if first.info.server_version >= RECORD_HASH_SINCE else "text"
        selection = select_tables(first, exclude=excluded, only=only, unlogged=unlogged)
        state = _State(mode=mode, share=share, only_roles=roles)
        if only is None:
            state.sequences = read_sequences(first) if sequences is None else dict(sequences)
        run_on_all(sessions, _work(state, selection.tables, len(sessions), whole=only is None, access=access), stop)
        return state.fingerprint(first, selection.not_compared, whole=only is None, access=access)


def measure_like(
    expected: DatabaseFingerprint,
    connect: Connect,
    *,
    tables: Iterable[str] | None = None,
    workers: int = 2,
    unlogged: bool = True,
    access: bool = True,
    stop: threading.Event | None = None,
) -> DatabaseFingerprint:
    """Fingerprint a restored copy in the way its backup was fingerprinted: same mode, same sample.

    Tables that the backup left out are in the copy without rows; they are not measured again.

    :param unlogged: False where the copy was recovered from WAL, so that its unlogged tables are empty.
    :raises SourceError: as ``measure``.
    """
    left_out = {
        entry.object: entry.why.removeprefix(LEFT_OUT)
        for entry in expected.not_compared
        if entry.why.startswith(LEFT_OUT)
    }
    return measure(
        connect,
        exclude=left_out,
        tables=tables,
        workers=workers,
        coverage=expected.sample if expected.sample < 1 else "full",
        mode=expected.mode,
        unlogged=unlogged,
        access=access,
        roles=_roles_of(expected),
        stop=stop,
    )


def _roles_of(expected: DatabaseFingerprint) -> list[str] | None:
    """The roles that the source's database knew: what its neighbours were granted since is no difference."""
    if expected.roles is None:
        return None
    quoted = [name.removeprefix(ROLE) for name in expected.items if name.startswith(ROLE)]
    return [name[1:-1].replace('""', '"') if name.startswith('"') else name for name in quoted]


def _share(coverage: Coverage) -> float:
    if coverage == "full":
        return 1.0
    if not 0 < coverage <= 1:
        raise SourceError(f"coverage of a fingerprint is {coverage}; allowed are 'full' and shares above 0 up to 1")
    return float(coverage)


@dataclass
class _State:
    """What the workers have found so far. Each writes keys of its own."""

    mode: Mode
    share: float
    only_roles: Collection[str] | None = None
    tables: dict[str, TableFingerprint] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    sequences: dict[str, SequenceFingerprint] = field(default_factory=dict)
    large_objects: TableFingerprint | None = None
    roles: Items = field(default_factory=dict)
    grants: Items = field(default_factory=dict)

    def measure_table(self, session: Session, table: Table) -> None:
        """Count and hash one table's rows."""
        samples = self.share < 1 and bool(table.key) and table.size >= _WHOLE_BELOW
        query = table_query(
            table.name, table.columns, mode=self.mode, sample=self.share if samples else 1.0, key=table.key
        )
        count, digest, buckets = combine(rows(session, query))
        if samples:
            count = scalar(session, f"SELECT count(*) FROM ONLY {table.name}")
        self.tables[table.name] = TableFingerprint(
            rows=count,
            digest=digest,
            columns=tuple(column.name for column in in_name_order(table.columns)),
            coverage="sampled" if samples else "full",
            buckets=buckets if count else "",
        )

    def measure_large_objects(self, session: Session) -> None:
        """Count and hash large objects."""
        self.large_objects = fingerprint_large_objects(session, self.mode)

    def read_definitions(self, session: Session) -> None:
        """Read every definition."""
        self.definitions = read_definitions(session)

    def read_access(self, session: Session) -> None:
        """Read roles, owners and privileges."""
        self.roles = read_roles(session, self.only_roles)
        self.grants = read_grants(session)

    def fingerprint(
        self, session: Session, not_compared: list[NotCompared], *, whole: bool, access: bool
    ) -> DatabaseFingerprint:
        """All of it, in a stable order."""
        items = item_digests(self.definitions)
        items |= {name: short_digest(text) for name, text in (self.roles | self.grants).items()}
        return DatabaseFingerprint(
            mode=self.mode,
            scope="database" if whole else "tables",
            sample=self.share,
            server_version=session.info.parameter_status("server_version") or "",
            tables=dict(sorted(self.tables.items())),
            definitions=schema_digests(self.definitions),
            sequences=self.sequences,
            large_objects=self.large_objects,
            roles=mapping_digest(self.roles) if whole and access else None,
            grants=mapping_digest(self.grants) if whole and access else None,
            extensions=read_extensions(session) if whole else {},
            items=dict(sorted(items.items())),
            not_compared=tuple(sorted(not_compared, key=lambda entry: entry.object)),
        )


def _work(state: _State, tables: list[Table], workers: int, *, whole: bool, access: bool) -> list[Work]:
    """Pieces of work, longest first. A table that is more than its worker's share is read in parallel by the server."""
    longest_first = sorted(tables, key=lambda table: table.size, reverse=True)
    share = sum(table.size for table in tables) / workers
    work: list[Work] = [_table_work(state, table, workers if table.size > share else 1) for table in longest_first]
    if whole:
        work.append(state.measure_large_objects)
        work.append(state.read_definitions)
        if access:
            work.append(state.read_access)
    return work


def _table_work(state: _State, table: Table, processes: int) -> Work:
    def run(session: Session) -> None:
        execute(session, f"SET LOCAL max_parallel_workers_per_gather = {processes - 1}")
        state.measure_table(session, table)
        execute(session, "SET LOCAL max_parallel_workers_per_gather = 0")

    return run
