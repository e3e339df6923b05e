"""A logical backup: one snapshot, parallel dumps straight into encrypted parts, the fingerprint alongside.

    coordinator ── locks, snapshot ─────────────────────────────────────────────── still there? ──> fields of a manifest
        ├── stream 1: pg_dump table-0001 | table-0003 | rest ...    each: stdout -> zstd -> AES-256-GCM -> store
        ├── stream 2: pg_dump table-0002 | ... | schema, globals
        ├── exports: queries of the policy as CSV, in the same snapshot
        └── fingerprint: hashes every row in the same snapshot

Nothing touches the disk. A failure anywhere stops everything; parts that are stored by then are debris, since the
manifest that would make them a backup is written by the caller, after this has returned.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, Protocol, cast

import psycopg

from include.recovery.catalog.model import Export, LeftOut, Part, PartRole
from include.recovery.errors import BackupCorrupt, ToolFailed
from include.recovery.fingerprint.measure import Coverage, measure
from include.recovery.fingerprint.model import DatabaseFingerprint
from include.recovery.jobs import Stopped, run_parallel, stopped_by
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.postgres import commands, tools
from include.recovery.postgres.archive import Peek
from include.recovery.postgres.exports import ExportQuery, store_export
from include.recovery.postgres.failures import meaning, meaning_of_session
from include.recovery.postgres.grouping import Group, Grouping, plan_groups
from include.recovery.postgres.names import parse_qualified
from include.recovery.postgres.preflight import Readiness, check
from include.recovery.postgres.roles import only_roles, roles_of_database
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.snapshot import Snapshot, exported_snapshot
from include.recovery.processes import Crew

Relation = tuple[str, str]


@dataclass(frozen=True)
class BackupOptions:
    """How to take a backup.

    :param streams: dumps at the same time; memory grows with it, not with the database.
    :param zstd_level: 1 is quick, 3 is smaller; beyond that time doubles for a few percent.
    :param exclude: qualified names of tables whose rows are left out, each with its reason.
    :param coverage: ``full``, a fraction to sample, or None for no fingerprint at all (benchmarks of the dump alone).
    :param lock_wait: seconds that anything waits for a lock before the backup fails.
    :param exports: queries whose results are kept as CSV too.
    """

    streams: int = 2
    zstd_level: int = 3
    exclude: Mapping[str, str] = field(default_factory=dict)
    coverage: Coverage | None = "full"
    fingerprint_workers: int = 2
    lock_wait: int = 60
    exports: tuple[ExportQuery, ...] = ()


@dataclass(frozen=True)
class DatabaseBackup:
    """What a backup of a database tells its manifest; the names are those of ``Manifest``."""

    database: str
    snapshot_at: datetime
    lsn: str | None
    server_version: str
    tool_versions: dict[str, str]
    parts: tuple[Part, ...]
    compression: str
    fingerprint: DatabaseFingerprint | None
    left_out: tuple[LeftOut, ...]
    source_size: int
    exports: tuple[Export, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """For ``BackupInProgress.commit``."""
        return dict(vars(self))


class PartSink(Protocol):
    """Where streams become parts: a ``BackupInProgress``."""

    @property
    def stop(self) -> threading.Event:
        """Set when this run may not write any more."""
        ...

    def check(self) -> None:
        """Raise ``LeaseLost`` when this run may not write any more."""
        ...

    def store_part(
        self,
        stream: BinaryIO,
        name: str,
        role: PartRole,
        tables: Sequence[str] = (),
        *,
        zstd_level: int = 3,
        finished: Callable[[], None] | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> Part:
        """Store a whole stream as one part."""
        ...


def back_up_database(
    server: PostgresServer,
    sink: PartSink,
    options: BackupOptions | None = None,
    *,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> DatabaseBackup:
    """Take a backup of one database.

    :param sink: stores the parts; when it may not write any more, everything ends.
    :param stop: ends everything when set, as when the task is killed.
    :raises InsufficientRights, RowsHidden, SourceError: before anything is dumped.
    :raises SourceUnavailable: when the server is or goes away, or a table stays locked.
    :raises ToolFailed: when a tool fails for another reason.
    :raises LeaseLost: when another run has taken over.
    :raises Stopped: when the stop event was set.
    """
    options = options or BackupOptions()
    readiness = check(server, options.exclude)
    with (
        stopped_by(sink.stop, stop) as stopping,
        exported_snapshot(server, without=readiness.exclude, lock_wait=min(options.lock_wait, 10)) as snapshot,
    ):
        try:
            job = _Job(
                server, sink, options, progress=progress, readiness=readiness, snapshot=snapshot, stop=stopping
            )
            return job.run()
        except Stopped:
            sink.check()
            raise


class _Job:
    """One backup while it runs."""

    def __init__(
        self,
        server: PostgresServer,
        sink: PartSink,
        options: BackupOptions,
        *,
        progress: Progress,
        readiness: Readiness,
        snapshot: Snapshot,
        stop: threading.Event,
    ) -> None:
        self._server, self._sink, self._options, self._progress = server, sink, options, progress
        self._readiness, self._snapshot, self._stop = readiness, snapshot, stop
        self._tools = tools.find(tools.major_of(snapshot.server_version))
        self._qualified = {table.relation: table.qualified for table in snapshot.tables}
        self._parts: dict[str, Part] = {}
        self._held: dict[Relation, str] = {}
        self._roles: frozenset[str] = frozenset()
        self._fingerprint: DatabaseFingerprint | None = None
        self._exports: dict[str, Export] = {}
        self._lock = threading.Lock()

    def run(self) -> DatabaseBackup:
        """Everything at once, in ``streams`` streams."""
        with self._server.connect() as connection:
            self._roles = frozenset(roles_of_database(connection))
        grouping = plan_groups(self._snapshot.tables)
        with Crew(self._stop) as crew:
            # These two lock every table: early, before somebody has asked for one of them exclusively. Both are small.
            jobs: list[Callable[[], None]] = [
                partial(self._dump_schema, crew), partial(self._dump_rest, crew, grouping)
            ]
            jobs += [partial(self._dump_group, crew, group) for group in grouping.groups]
            jobs += [partial(self._export, export) for export in self._options.exports]
            jobs.append(partial(self._dump_globals, crew))
            coverage = self._options.coverage
            beside = [] if coverage is None else [partial(self._measure, coverage)]
            run_parallel(jobs, workers=self._options.streams, stop=self._stop, beside=beside)
        self._snapshot.check()
        self._check_complete()
        exports = [export.part for export in self._options.exports]
        order = ["globals", "schema", *(group.name for group in grouping.groups), "rest", *exports]
        return DatabaseBackup(
            database=self._server.database,
            snapshot_at=self._snapshot.taken_at,
            lsn=self._snapshot.lsn,
            server_version=self._snapshot.server_version,
            tool_versions={"pg_dump": self._tools.version},
            parts=tuple(self._parts[name] for name in order),
            compression=f"zstd-{self._options.zstd_level}",
            fingerprint=self._fingerprint,
            left_out=self._readiness.left_out,
            source_size=self._snapshot.size,
            exports=tuple(self._exports[name] for name in exports),
        )

    def _dump_schema(self, crew: Crew) -> None:
        argv = commands.dump_schema(
            self._tools, self._snapshot.id, lock_wait=self._options.lock_wait,
            subscriptions=self._readiness.subscriptions,
        )
        self._dump(crew, argv, "schema", "schema", "dumping the definitions", ())

    def _dump_group(self, crew: Crew, group: Group) -> None:
        names = [table.qualified for table in group.tables]
        argv = commands.dump_tables(
            self._tools, self._snapshot.id, [table.relation for table in group.tables],
            lock_wait=self._options.lock_wait,
        )
        doing = f"dumping {names[0]}" + (f" and {len(names) - 1} more tables" if len(names) > 1 else "")
        self._dump(crew, argv, group.name, "data", doing, names)

    def _dump_rest(self, crew: Crew, grouping: Grouping) -> None:
        without = [table.relation for table in grouping.grouped] + self._excluded()
        argv = commands.dump_rest(self._tools, self._snapshot.id, without, lock_wait=self._options.lock_wait)
        names = [table.qualified for table in grouping.rest]
        self._dump(crew, argv, "rest", "data", "dumping the small tables, sequences and large objects", names)

    def _dump(
        self, crew: Crew, argv: Sequence[str], name: str, role: PartRole, doing: str, tables: Sequence[str]
    ) -> None:
        """One pg_dump into one part; what the dump says it holds is noted for the final count."""
        try:
            with crew.child(argv, env=self._server.environment(), stdout="pipe") as child:
                stream = Peek(child.stdout)
                part = self._sink.store_part(
                    cast("BinaryIO", stream), name, role, tables, zstd_level=self._options.zstd_level,
                    finished=child.check, progress=self._progress,
                )
        except ToolFailed as error:
            raise meaning(error, self._server, doing) from error
        with self._lock:
            self._parts[name] = part
            for relation in stream.contents.tables_with_rows:
                if relation in self._held:
                    raise BackupCorrupt(
                        f"{self._server.redacted}: the rows of {relation[0]}.{relation[1]} are in part {name} and in "
                        f"part {self._held[relation]}; this is a fault of the planning, report it"
                    )
                self._held[relation] = name

    def _dump_globals(self, crew: Crew) -> None:
        argv = commands.dump_globals(self._tools, self._server.database, passwords=self._readiness.passwords)
        try:
            script = crew.run(argv, env=self._server.environment()).decode()
        except ToolFailed as error:
            raise meaning(error, self._server, "dumping the roles") from error
        stream = io.BytesIO(only_roles(script, self._roles).encode())
        part = self._sink.store_part(stream, "globals", "globals", (), zstd_level=self._options.zstd_level,
                                      progress=self._progress)
        with self._lock:
            self._parts["globals"] = part

    def _export(self, export: ExportQuery) -> None:
        """A query's result as CSV, in the same snapshot."""
        store = partial(
            self._sink.store_part, name=export.part, role="export", zstd_level=self._options.zstd_level,
            progress=self._progress,
        )
        settings = {"lock_timeout": f"{self._options.lock_wait * 1000}"}
        part, made = store_export(
            self._server, self._snapshot.id, export, store, settings=settings, stop=self._stop
        )
        with self._lock:
            self._parts[export.part] = part
            self._exports[export.part] = made

    def _measure(self, coverage: Coverage) -> None:
        """The fingerprint, in the same snapshot; sequences as they were before the first dump read one."""
        settings = {"lock_timeout": f"{self._options.lock_wait * 1000}"}
        try:
            self._fingerprint = measure(
                partial(self._server.connect, settings=settings),
                snapshot=self._snapshot.id,
                exclude=self._readiness.exclude,
                workers=self._options.fingerprint_workers,
                coverage=coverage,
                roles=self._roles,
                sequences=self._snapshot.sequences,
                stop=self._stop,
            )
        except psycopg.Error as error:
            raise meaning_of_session(error, self._server, "measuring the fingerprint") from error

    def _check_complete(self) -> None:
        """Every table of the snapshot is in exactly one part: what the dumps *say* they hold is counted.

        :raises BackupCorrupt: naming the tables that no dump holds.
        """
        missing = [name for relation, name in self._qualified.items() if relation not in self._held]
        if missing:
            raise BackupCorrupt(
                f"{self._server.redacted}: no dump holds the rows of {', '.join(sorted(missing)[:20])}; the backup is "
                f"discarded, report this with the names"
            )

    def _excluded(self) -> list[Relation]:
        return [parse_qualified(name) for name in self._readiness.exclude]
