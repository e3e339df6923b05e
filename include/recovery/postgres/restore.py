"""A backup becomes a database again: definitions, then rows in parallel streams, then indexes and constraints.

The target is always a database that does not exist yet, or that is empty. To take a live one's place is ``swap``'s job,
after the copy has been verified. A restore that fails drops the database that it made: half a copy must not be taken
for a whole one.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg

from include.recovery.catalog.model import Manifest, Part
from include.recovery.errors import LifeboatError, Refused, ToolFailed
from include.recovery.jobs import run_parallel, stopped_by
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.postgres import commands
from include.recovery.postgres.archive import Contents, Entry
from include.recovery.postgres.failures import meaning, meaning_of_session
from include.recovery.postgres.names import parse_qualified, quote
from include.recovery.postgres.reading import (
    Dumped,
    Source,
    data_parts,
    fetch_archive,
    foreign_key_ends,
    load_rows,
    parents_first,
    part_of,
    private_folder,
    read_rows,
    tools_for,
    with_partitions,
)
from include.recovery.postgres.roles import RolesReport, apply_roles, for_database
from include.recovery.postgres.server import MAINTENANCE_DATABASE, PostgresServer, sql
from include.recovery.processes import Crew
from include.recovery.stores.port import ObjectStore

EMPTY = """
    SELECT NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema')
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                        WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema')
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata)
"""


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did.

    :param seconds: by phase.
    :param fetched: stored bytes that were read.
    :param roles: None when roles were not asked for.
    :param left_out: constraints and views that could not be made, because rows they need were not asked for; and, where
        no superuser restored, privileges on the system's own objects: ``lifeboat prepare`` gives its own again.
    """

    database: str
    seconds: dict[str, float]
    fetched: int
    tables: int
    roles: RolesReport | None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore.

    :param streams: loads, index builds and ANALYZEs at the same time.
    :param roles: make the roles that are missing.
    :param statistics: analyse every table, so that the first queries are planned well.
    :param work_memory: of the server, for each index build.
    """

    streams: int = 2
    roles: bool = True
    statistics: bool = True
    work_memory: str = "256MB"


def restore_database(
    manifest: Manifest,
    store: ObjectStore,
    key: bytes,
    target: PostgresServer,
    *,
    database: str,
    tables: Collection[str] = (),
    options: RestoreOptions | None = None,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> RestoreReport:
    """Restore a backup into a new (or empty) database.

    :param target: the server, as a role that may make databases.
    :param database: the name to restore to.
    :param tables: qualified names; only their rows are fetched, everything else stays empty. Empty means all.
    :param stop: ends the restore when set.
    :raises Refused: when the database exists and holds something.
    :raises BackupCorrupt: when a part is missing or damaged.
    :raises ToolFailed, SourceError, SourceUnavailable: when the server or a tool fails.
    """
    return restore_dumped(
        Source(manifest, store, key), target, database=database, tables=tables, options=options, progress=progress,
        stop=stop,
    )


def restore_dumped(
    source: Dumped,
    target: PostgresServer,
    *,
    database: str,
    tables: Collection[str] = (),
    options: RestoreOptions | None = None,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> RestoreReport:
    """As ``restore_database``, of dumps wherever they come from."""
    options = options or RestoreOptions()
    with stopped_by(stop) as stopping:
        job = _Job(source, target.with_database(database), frozenset(tables), options, progress, stopping)
        try:
            return job.run()
        except psycopg.Error as error:
            raise meaning_of_session(error, job.server, "restoring") from error


class _Job:
    """One restore while it runs."""

    def __init__(
        self,
        source: Dumped,
        server: PostgresServer,
        tables: frozenset[str],
        options: RestoreOptions,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self.source, self.server, self.tables = source, server, tables
        self.options, self.progress, self.stop = options, progress, stop
        self._wanted = [parse_qualified(name) for name in sorted(tables)]
        self.seconds: dict[str, float] = {}
        self.fetched = 0
        self._lock = threading.Lock()

    def run(self) -> RestoreReport:
        """All phases."""
        self.tools = tools_for(self.source, self.server)
        with private_folder() as folder, Crew(self.stop) as crew:
            archive = folder / "schema.dump"
            with self._phase("definitions"):
                contents = fetch_archive(self.source, archive, self.progress)
                self.fetched += self.source.stored_size(part_of(self.source, "schema"))
                self._wanted = with_partitions(contents, self._wanted, self.source.name)
                parts = data_parts(self.source, self._wanted)
            with self._phase("roles"):
                roles = self._roles() if self.options.roles else None
            with self._phase("definitions"):
                made = self._make_database(contents)
            try:
                left_out = self._fill(crew, folder, archive, contents, parts)
            except BaseException:
                if made:
                    self._drop_database()
                raise
        return RestoreReport(self.server.database, self.seconds, self.fetched,
                             sum(len(part.tables) for part in parts), roles, tuple(left_out))

    def _fill(
        self, crew: Crew, folder: Path, archive: Path, contents: Contents, parts: Sequence[Part]
    ) -> list[str]:
        chosen, left_out = self._post_data(contents)
        withheld = self._withheld(contents)
        chosen = [entry for entry in chosen if entry not in withheld]
        left_out += [f"privileges on {entry.schema}.{entry.name}" for entry in withheld]
        entries = folder / "post-data.list"
        entries.write_text("".join(f"{entry.id};\n" for entry in chosen), encoding="utf-8")
        definitions = folder / "pre-data.list"
        in_order = [entry for entry in parents_first(contents) if entry not in withheld]
        definitions.write_text("".join(f"{entry.id};\n" for entry in in_order), encoding="utf-8")
        with self._phase("definitions"):
            self._tool(crew, "pre-data", archive, definitions)
        with self._phase("rows"):
            loads = [partial(self._load, crew, part) for part in sorted(parts, key=lambda part: -part.content_size)]
            run_parallel(loads, workers=self.options.streams, stop=self.stop)
        with self._phase("indexes and constraints"):
            self._tool(crew, "post-data", archive, entries)
        with self._phase("properties"):
            self._properties(contents)
        if self.options.statistics:
            with self._phase("statistics"):
                self._analyze()
        return left_out

    def _withheld(self, contents: Contents) -> list[Entry]:
        """Privileges on the system's own objects, which only a superuser can give in a new database."""
        with self.server.connect() as connection:
            row = connection.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").fetchone()
        if row and row[0]:
            return []
        return [entry for entry in contents.of_kind("ACL") if entry.schema == "pg_catalog"]

    def _roles(self) -> RolesReport:
        part = part_of(self.source, "globals")
        with self.source.open(part, self.progress) as stream:
            script = stream.read().decode()
        self.fetched += self.source.stored_size(part)
        return apply_roles(self.server.with_database(MAINTENANCE_DATABASE), script)

    def _make_database(self, contents: Contents) -> bool:
        """Create the database as it was: encoding, locale, provider. False when it exists and is empty.

        :raises Refused: when it exists and is not empty.
        """
        with self.server.with_database(MAINTENANCE_DATABASE).connect() as connection:
            exists = connection.execute(
                "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (self.server.database,)
            ).fetchone()
            if not exists:
                for entry in contents.of_kind("DATABASE"):
                    for statement in for_database(entry.definition, self.server.database):
                        connection.execute(sql(statement))
                    if entry.owner:
                        # Before its content: the owner of the database may create in schema public, and an object can
                        # be given only to a role that may create where it is.
                        connection.execute(sql(
                            f"ALTER DATABASE {quote(self.server.database)} OWNER TO {quote(entry.owner)}"
                        ))
                return True
        with self.server.connect() as connection:
            row = connection.execute(sql(EMPTY)).fetchone()
        if not row or not row[0]:
            raise Refused(
                f"{self.server.redacted}: the database exists and is not empty; nothing was touched: restore under "
                f"another name, or let the recovery runbook swap a restored copy in"
            )
        return False

    def _drop_database(self) -> None:
        try:
            with self.server.with_database(MAINTENANCE_DATABASE).connect() as connection:
                connection.execute(sql(f"DROP DATABASE IF EXISTS {quote(self.server.database)} WITH (FORCE)"))
        except (psycopg.Error, LifeboatError):
            return  # The restore's own failure is what is raised; a server that is gone needs no tidying.

    def _tool(self, crew: Crew, section: str, archive: Path, entries: Path) -> None:
        jobs = self.options.streams if section == "post-data" else 1
        argv = commands.restore_file(
            self.tools, self.server.database, str(archive), section, jobs=jobs,
            entries=str(entries),
        )
        settings = {"synchronous_commit": "off", "maintenance_work_mem": self.options.work_memory}
        try:
            with crew.child(argv, env=self.server.environment(**settings), death_signal="TERM") as child:
                child.check()
        except ToolFailed as error:
            raise meaning(error, self.server, f"restoring the definitions ({section})") from error

    def _load(self, crew: Crew, part: Part) -> None:
        """One part into the database.

        Streaming whole parts through pg_restore takes the least work. COPY through a session of ours spares the server
        some of its own (FREEZE, no WAL where ``wal_level`` is minimal) but costs us more than that [measured: 12.3
        against 11.7 CPU-seconds for 0.6 GB]; it is the way to take single tables out of a part.
        """
        if self.tables:
            self._load_by_copy(crew, part)
        else:
            self._load_by_tool(crew, part)
        with self._lock:
            self.fetched += self.source.stored_size(part)

    def _load_by_tool(self, crew: Crew, part: Part) -> None:
        """With all that is in it, also the positions of sequences and large objects."""
        argv = commands.restore_stream(self.tools, self.server.database)
        try:
            with (
                self.source.open(part, self.progress) as stream,
                crew.child(argv, env=self.server.environment(synchronous_commit="off"), stdin="pipe") as child,
            ):
                child.feed(stream)
        except ToolFailed as error:
            raise meaning(error, self.server, f"restoring part {part.name}") from error

    def _load_by_copy(self, crew: Crew, part: Part) -> None:
        """Through a session of ours, each table in one transaction that has truncated it before."""
        settings = {"synchronous_commit": "off"}
        with self.server.connect(autocommit=False, settings=settings) as connection:


            def take(entry: Entry, rows: Iterator[bytes]) -> None:
                if self._wanted and entry.relation not in self._wanted:
                    for _ in rows:
                        pass
                    return
                connection.execute(sql(f"TRUNCATE TABLE ONLY {quote(entry.schema)}.{quote(entry.name)}"))
                load_rows(connection, entry.copy, rows)
                connection.commit()

            contents = read_rows(
                crew, self.source, part, tools=self.tools, server=self.server, take=take, progress=self.progress
            )
            self._set_sequences(connection, contents)
            connection.commit()

    def _set_sequences(self, connection: psycopg.Connection[Any], contents: Contents) -> None:
        """The positions of sequences that the tables own. The rest sets them too; both were read after the snapshot."""
        for entry in contents.of_kind("SEQUENCE SET"):
            connection.execute(sql(entry.definition))

    def _post_data(self, contents: Contents) -> tuple[list[Entry], list[str]]:
        """What to make after the rows are there; of a partial restore, nothing that needs rows that are not there.

        The tool picks the section: comments and privileges belong to one only through what they are about.
        """
        entries = list(contents.entries)
        if not self.tables:
            return entries, []
        left_out = [entry for entry in entries if entry.kind == "MATERIALIZED VIEW DATA"]
        for entry in entries:
            if entry.kind == "FK CONSTRAINT":
                owner, referenced = foreign_key_ends(entry.definition)
                if owner in self._wanted and referenced not in self._wanted:
                    left_out.append(entry)
        return ([entry for entry in entries if entry not in left_out],
                [f"{entry.kind.lower()} {entry.schema}.{entry.name}" for entry in left_out])

    def _properties(self, contents: Contents) -> None:
        """Owner, settings, rights and comment of the database itself."""
        kinds = ("DATABASE PROPERTIES", "ACL", "COMMENT", "SECURITY LABEL")
        about = [entry for entry in contents.of_kind(*kinds) if not entry.schema and (
            entry.kind == "DATABASE PROPERTIES" or entry.name.startswith("DATABASE "))]
        with self.server.with_database(MAINTENANCE_DATABASE).connect() as connection:
            for entry in contents.of_kind("DATABASE"):
                if entry.owner:
                    connection.execute(sql(
                        f"ALTER DATABASE {quote(self.server.database)} OWNER TO {quote(entry.owner)}"
                    ))
            for entry in about:
                for statement in for_database(entry.definition, self.server.database):
                    connection.execute(sql(statement))

    def _analyze(self) -> None:
        with self.server.connect() as connection:
            names = [row[0] for row in connection.execute(sql(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
                " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT LIKE 'pg\\_%'"
                " AND n.nspname <> 'information_schema' ORDER BY c.relkind = 'p', c.relpages DESC, c.oid"
            ))]
        shares = [names[start :: self.options.streams] for start in range(self.options.streams)]

        def analyze(share: list[str]) -> None:
            with self.server.connect() as connection:
                for start in range(0, len(share), 50):
                    connection.execute(sql(f"ANALYZE {', '.join(share[start : start + 50])}"))

        run_parallel([partial(analyze, share) for share in shares if share],
                     workers=self.options.streams, stop=self.stop)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + monotonic() - began, 3)
