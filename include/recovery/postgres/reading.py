"""A backup read for a restore: which parts and entries are wanted, and their rows as streams."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import psycopg

from include.recovery.catalog.model import Manifest, Part
from include.recovery.errors import BackupCorrupt, BackupNotFound, SourceError, ToolFailed
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.parts.read import open_part
from include.recovery.postgres import commands
from include.recovery.postgres.archive import Contents, Entry, read_contents, split_contents
from include.recovery.postgres.copy_text import CopyText
from include.recovery.postgres.failures import meaning
from include.recovery.postgres.names import parse_qualified
from include.recovery.postgres.server import MAINTENANCE_DATABASE, PostgresServer, sql
from include.recovery.postgres.sql_text import significant, tokens
from include.recovery.postgres.tools import Tools, find, major_of
from include.recovery.processes import Crew
from include.recovery.stores.port import ObjectStore

Relation = tuple[str, str]
"""Schema and name."""


class Dumped(Protocol):
    """A database as dumps of its parts, wherever they come from: a stored backup, or a running server.

    :param name: for messages.
    :param server_version: of the server that is in the dumps.
    :param written_by: the version of the pg_dump that writes them.
    :param parts: one with the definitions, one with the roles, the others with rows.
    """

    @property
    def name(self) -> str: ...
    @property
    def server_version(self) -> str: ...
    @property
    def written_by(self) -> str: ...
    @property
    def parts(self) -> Sequence[Part]: ...

    def open(self, part: Part, progress: Progress = NO_PROGRESS) -> BinaryIO:
        """Stream a part's content; use it as a context manager."""
        ...

    def stored_size(self, part: Part) -> int:
        """Bytes that reading a part fetches from a store."""
        ...


@dataclass(frozen=True)
class Source:
    """A complete backup and the way to its content; see ``Dumped``.

    :param key: the backup's own key, unwrapped.
    """

    manifest: Manifest
    store: ObjectStore
    key: bytes

    @property
    def name(self) -> str:
        """Of the backup."""
        return self.manifest.name

    @property
    def server_version(self) -> str:
        """Of the server that was backed up."""
        return self.manifest.server_version

    @property
    def written_by(self) -> str:
        """The version of the pg_dump that took it."""
        return self.manifest.tool_versions.get("pg_dump", self.manifest.server_version)

    @property
    def parts(self) -> Sequence[Part]:
        """All of them."""
        return self.manifest.parts

    def open(self, part: Part, progress: Progress = NO_PROGRESS) -> BinaryIO:
        """Stream a part's content."""
        return open_part(self.store, part, self.key, self.manifest.context, progress=progress)

    def stored_size(self, part: Part) -> int:
        """Bytes that reading a part fetches."""
        return sum(volume.size for volume in part.volumes)


def part_of(source: Dumped, name: str) -> Part:
    """A part by name.

    :raises BackupNotFound: when there is none of that name.
    """
    for part in source.parts:
        if part.name == name:
            return part
    known = ", ".join(part.name for part in source.parts)
    raise BackupNotFound(f"backup {source.name} has no part {name!r}; it has {known}")


def data_parts(source: Dumped, tables: Collection[Relation]) -> list[Part]:
    """The parts that hold rows of these tables; of all when none is named."""
    data = [part for part in source.parts if part.role == "data"]
    if not tables:
        return data
    return [part for part in data if any(parse_qualified(name) in tables for name in part.tables)]


def parents_first(contents: Contents) -> list[Entry]:
    """All entries, each partition attached after its parent has been.

    From PostgreSQL 17 on a partition gets its identity columns when it is attached, and only if its parent has them by
    then; pg_dump attaches in the order of names, so a partition of a partition may lose them [found by fingerprint].
    """
    attaching = contents.of_kind("TABLE ATTACH")
    pairs = {entry.id: dotted(entry.definition)[:2] for entry in attaching}
    parents = {child: parent for parent, child in pairs.values()}

    def depth(entry: Entry) -> int:
        steps, relation = 0, pairs[entry.id][0]
        while relation in parents:
            steps, relation = steps + 1, parents[relation]
        return steps

    in_order = iter(sorted(attaching, key=depth))
    return [next(in_order) if entry.kind == "TABLE ATTACH" else entry for entry in contents.entries]


def with_partitions(contents: Contents, tables: Sequence[Relation], backup: str) -> list[Relation]:
    """The tables, and the partitions of those that are partitioned.

    :param backup: its name, for the message.
    :raises BackupNotFound: when a table is not in the dump.
    """
    defined = {entry.relation for entry in contents.of_kind("TABLE")}
    missing = [relation for relation in tables if relation not in defined]
    if missing:
        names = ", ".join(f"{schema}.{name}" for schema, name in missing)
        known = ", ".join(sorted(f"{schema}.{name}" for schema, name in defined)[:30])
        raise BackupNotFound(f"backup {backup} holds no table {names}; it holds {known}")
    attached = [dotted(entry.definition)[:2] for entry in contents.of_kind("TABLE ATTACH")]
    result = list(tables)
    for relation in result:  # grows while it is walked: partitions have partitions
        result += [child for parent, child in attached if parent == relation and child not in result]
    return result


def tools_for(source: Dumped, server: PostgresServer) -> Tools:
    """The tools that can read the backup and write to the server.

    :raises SourceError: when the server is older than the one that was backed up.
    """
    with server.with_database(MAINTENANCE_DATABASE).connect() as connection:
        major = connection.info.server_version // 10000
    dumped = major_of(source.server_version)
    if major < dumped:
        raise SourceError(
            f"{server.redacted}: the server is PostgreSQL {major} and the backup was taken from PostgreSQL {dumped}; "
            f"restore to version {dumped} or newer"
        )
    return find(max(major, major_of(source.written_by)), tool="pg_restore")


def fetch_archive(source: Dumped, path: Path, progress: Progress = NO_PROGRESS) -> Contents:
    """Write the definitions' dump (no rows are in it) to a private file, and return what is in it."""
    with source.open(part_of(source, "schema"), progress) as stream, path.open("wb") as file:
        while chunk := stream.read(1024 * 1024):
            file.write(chunk)
    return read_contents(path.read_bytes())


class Rows(Protocol):
    """Called for each table of a part: its entry, and its rows, all of which must be taken."""

    def __call__(self, entry: Entry, rows: Iterator[bytes]) -> None: ...


def read_rows(
    crew: Crew, source: Dumped, part: Part, *, tools: Tools, server: PostgresServer, take: Rows,
    progress: Progress = NO_PROGRESS,
) -> Contents:
    """Hand out the rows of each table of a part as COPY text, one table after the other.

    :param server: for messages and the tool's environment; nothing connects to it here.
    :return: what the part says that it holds.
    :raises BackupCorrupt: when the part is missing or damaged.
    """
    with (
        source.open(part, progress) as stored,
        crew.child(commands.print_sql(tools, data_only=True), env=server.environment(), stdin="pipe",
                   stdout="pipe") as child,
    ):
        contents, stream = split_contents(stored)
        failures: list[BaseException] = []

        def feed() -> None:
            try:
                child.feed(stream)
            except BaseException as error:
                failures.append(error)
                child.kill()

        feeder = threading.Thread(target=feed, name=f"feed-{part.name}")
        feeder.start()
        try:
            text = CopyText(child.stdout, contents.of_kind("TABLE DATA"))
            while (entry := text.next_table()) is not None:
                take(entry, text.rows())
        except (ToolFailed, BackupCorrupt):
            child.kill()
            feeder.join()
            if not failures:
                raise
        finally:
            child.kill()
            feeder.join()
        if failures:
            error = failures[0]
            raise meaning(error, server, f"reading part {part.name}") if isinstance(error, ToolFailed) else error
    return contents


def load_rows(connection: psycopg.Connection[Any], copy: str, rows: Iterator[bytes]) -> None:
    """Load rows into a table that the current transaction has made or truncated.

    :param copy: the dump's ``COPY ... FROM stdin;``.
    """
    statement = copy.strip().removesuffix(";").removesuffix(" FROM stdin")
    with connection.cursor() as cursor, cursor.copy(sql(f"{statement} FROM STDIN WITH (FREEZE)")) as into:
        for chunk in rows:
            into.write(chunk)


def foreign_key_ends(definition: str) -> tuple[Relation, Relation]:
    """The table that has a foreign key, and the table that it refers to, out of the SQL that makes it."""
    pairs = dotted(definition)
    return pairs[0], pairs[-1]


def dotted(definition: str) -> list[Relation]:
    """Every ``schema.name`` that a piece of SQL mentions, in order."""
    words = significant(list(tokens(definition)))
    return [
        (str(words[place].name), str(words[place + 2].name))
        for place in range(len(words) - 2)
        if words[place + 1].text == "." and words[place].name is not None and words[place + 2].name is not None
    ]


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for small files that only we can read; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lifeboat-") as folder:
        yield Path(folder)
