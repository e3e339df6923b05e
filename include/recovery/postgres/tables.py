"""Some tables out of a backup, beside the live ones: in a schema of their own, in one transaction.

Only the definitions' part and the parts that hold these tables are fetched. What would reach out of the new schema is
left away and named: foreign keys (they would lock and hinder live tables), triggers and rules (they would act), row
security and grants (nobody but the restoring role is to see the copy yet).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from include.recovery.catalog.model import Manifest
from include.recovery.errors import Refused
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.postgres.archive import Contents, Entry
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.names import parse_qualified, quote
from include.recovery.postgres.reading import (
    Relation,
    Source,
    data_parts,
    dotted,
    fetch_archive,
    load_rows,
    parents_first,
    part_of,
    private_folder,
    read_rows,
    tools_for,
    with_partitions,
)
from include.recovery.postgres.server import PostgresServer, sql
from include.recovery.postgres.sql_text import move_relations, significant, tokens
from include.recovery.processes import Crew
from include.recovery.stores.port import ObjectStore

_OF_THE_TABLE = ("SEQUENCE", "SEQUENCE OWNED BY", "DEFAULT", "CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "INDEX ATTACH")
_LEFT_AWAY = ("FK CONSTRAINT", "TRIGGER", "RULE", "POLICY", "ROW SECURITY")


@dataclass(frozen=True)
class RestoredTable:
    """A table and its copy; both names as the server quotes them."""

    original: str
    copy: str
    rows: int


@dataclass(frozen=True)
class TablesReport:
    """What a restore of tables did.

    :param fetched: stored bytes that were read.
    :param left_out: what the copies do not have.
    """

    schema: str
    tables: tuple[RestoredTable, ...]
    fetched: int
    left_out: tuple[str, ...]


def restore_tables(
    manifest: Manifest,
    store: ObjectStore,
    key: bytes,
    target: PostgresServer,
    *,
    tables: Collection[str],
    schema: str,
    work_memory: str = "256MB",
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> TablesReport:
    """Restore tables into a new schema of an existing database; no live table is touched.

    :param target: the database; types and functions that the tables use must exist in it.
    :param tables: qualified names; a partitioned table brings its partitions.
    :param schema: the new schema.
    :raises BackupNotFound: when the backup has no such table, naming those it has.
    :raises Refused: when the schema exists already.
    """
    source = Source(manifest, store, key)
    try:
        with private_folder() as folder, Crew(stop or threading.Event()) as crew:
            contents = fetch_archive(source, folder / "schema.dump", progress)
            chosen = choose(contents, [parse_qualified(name) for name in tables], manifest.name)
            return _restore(
                source, target, crew, chosen, schema=schema, work_memory=work_memory, progress=progress
            )
    except psycopg.Error as error:
        raise meaning_of_session(error, target, f"restoring {', '.join(tables)}") from error


@dataclass(frozen=True)
class Chosen:
    """What a restore of some tables takes from a backup.

    :param tables: with their partitions; their rows are restored.
    :param before: entries to make before the rows are there, in the dump's order.
    :param after: entries to make afterwards.
    :param named: every relation that gets a place in the new schema.
    """

    tables: tuple[Relation, ...]
    before: tuple[Entry, ...]
    after: tuple[Entry, ...]
    named: frozenset[Relation]
    left_out: tuple[str, ...]


def choose(contents: Contents, tables: Sequence[Relation], backup: str) -> Chosen:
    """The entries of a dump that some tables need. Pure.

    :param backup: its name, for the message.
    :raises BackupNotFound: when a table is not in the dump.
    :raises Refused: when two of the tables have one name, in different schemas.
    """
    wanted = with_partitions(contents, tables, backup)
    defined = {entry.relation: entry for entry in contents.of_kind("TABLE")}
    ancestors = _ancestors(defined, wanted)
    made = set(wanted) | ancestors
    named = set(made)
    pieces: list[Entry] = []
    left_out: list[str] = []
    for entry in contents.entries:
        subject = _subject(entry)
        if entry.kind in _LEFT_AWAY and subject in made:
            left_out.append(f"{entry.kind.lower()} {entry.name}")
        elif entry.kind in ("TABLE", "TABLE ATTACH") and made.issuperset(_tables_of(entry)):
            pieces.append(entry)
        elif entry.kind in _OF_THE_TABLE and subject in made:
            pieces.append(entry)
            if entry.kind == "SEQUENCE OWNED BY":
                named.add(dotted(entry.definition)[0])
            elif entry.kind == "CONSTRAINT":
                named.add((entry.schema, _constraint_name(entry)))
            elif entry.kind in ("SEQUENCE", "INDEX"):
                named.add(entry.relation)
    pieces += [entry for entry in contents.of_kind("SEQUENCE") if entry.relation in named and entry not in pieces]
    pieces += [entry for entry in contents.of_kind("INDEX ATTACH")
               if {*dotted(entry.definition)[:2]} <= named and entry not in pieces]
    _refuse_doubles(named)
    order = {entry.id: place for place, entry in enumerate(parents_first(contents))}
    pieces.sort(key=lambda entry: order[entry.id])
    return Chosen(
        tuple(wanted),
        tuple(entry for entry in pieces if entry.section != "post-data"),
        tuple(entry for entry in pieces if entry.section == "post-data"),
        frozenset(named),
        tuple(left_out),
    )


def _subject(entry: Entry) -> Relation | None:
    """The table that an entry belongs to, out of the SQL that makes it."""
    pairs = dotted(entry.definition)
    if not pairs:
        return None
    if entry.kind == "SEQUENCE OWNED BY":
        # ALTER SEQUENCE a.s OWNED BY a.t.column
        words = significant(list(tokens(entry.definition)))
        by = [token.upper for token in words].index("BY")
        return str(words[by + 1].name), str(words[by + 3].name)
    if entry.kind in ("INDEX", "RULE", "TRIGGER", "POLICY"):
        # CREATE ... ON [ONLY] a.t ...
        words = significant(list(tokens(entry.definition)))
        keywords = [token.upper for token in words]
        for place, keyword in enumerate(keywords):
            if keyword in ("ON", "TO") and place + 3 < len(words):
                at = place + 2 if keywords[place + 1] == "ONLY" else place + 1
                if words[at + 1].text == "." and words[at].name is not None:
                    return str(words[at].name), str(words[at + 2].name)
        return None
    if entry.kind == "SEQUENCE" and not entry.definition.lstrip().upper().startswith("ALTER TABLE"):
        return None  # free-standing until a SEQUENCE OWNED BY says otherwise; identities are made by ALTER TABLE
    return pairs[0]


def _tables_of(entry: Entry) -> list[Relation]:
    """The table that a TABLE entry makes, or both tables of a TABLE ATTACH."""
    return [entry.relation] if entry.kind == "TABLE" else dotted(entry.definition)[:2]


def _constraint_name(entry: Entry) -> str:
    """What ``ADD CONSTRAINT`` names (the entry's own name has the table's before it)."""
    words = significant(list(tokens(entry.definition)))
    return str(words[[token.upper for token in words].index("CONSTRAINT") + 1].name)


def _ancestors(defined: Mapping[Relation, Entry], wanted: Sequence[Relation]) -> set[Relation]:
    """Tables that the wanted ones inherit from: made without rows, so that no live parent gets a new child."""
    found: set[Relation] = set()
    ahead = list(wanted)
    while ahead:
        words = significant(list(tokens(defined[ahead.pop()].definition)))
        keywords = [token.upper for token in words]
        if "INHERITS" not in keywords:
            continue
        for place in range(keywords.index("INHERITS"), len(words) - 2):
            if words[place + 1].text == "." and words[place].name is not None:
                parent = (str(words[place].name), str(words[place + 2].name))
                if parent in defined and parent not in found and parent not in wanted:
                    found.add(parent)
                    ahead.append(parent)
    return found


def _refuse_doubles(named: Collection[Relation]) -> None:
    names = [name for _, name in named]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise Refused(
            f"tables of different schemas have the same name {', '.join(doubles)}; restore them one after the other, "
            f"each into a schema of its own"
        )


def _restore(
    source: Source, target: PostgresServer, crew: Crew, chosen: Chosen, *, schema: str, work_memory: str,
    progress: Progress,
) -> TablesReport:
    moved = {relation: (schema, relation[1]) for relation in chosen.named}
    tools = tools_for(source, target)
    settings = {"maintenance_work_mem": work_memory, "lock_timeout": "10s"}
    fetched = source.stored_size(part_of(source, "schema"))
    with target.connect(autocommit=False, settings=settings) as connection:
        qualified = _qualified(connection, chosen.tables)
        _make_schema(connection, target, schema)
        for entry in chosen.before:
            connection.execute(sql(move_relations(entry.definition, moved)))
        loaded: dict[Relation, int] = {}

        def take(entry: Entry, rows: Iterator[bytes]) -> None:
            if entry.relation not in chosen.tables:
                for _ in rows:
                    pass
                return
            load_rows(connection, move_relations(entry.copy, moved), rows)

        for part in data_parts(source, chosen.tables):
            contents = read_rows(crew, source, part, tools=tools, server=target, take=take, progress=progress)
            fetched += source.stored_size(part)
            for entry in contents.of_kind("SEQUENCE SET"):
                if entry.relation in moved:
                    connection.execute(sql(move_relations(entry.definition, moved)))
        for entry in chosen.after:
            connection.execute(sql(move_relations(entry.definition, moved)))
        for relation in chosen.tables:
            copy = f"{quote(schema)}.{quote(relation[1])}"
            row = connection.execute(sql(f"SELECT count(*) FROM {copy}")).fetchone()  # noqa: S608 - quoted names
            loaded[relation] = row[0] if row else 0
        copies = _qualified(connection, [moved[relation] for relation in chosen.tables])
        connection.commit()
    restored = tuple(
        RestoredTable(qualified[relation], copies[moved[relation]], loaded[relation]) for relation in chosen.tables
    )
    return TablesReport(schema, restored, fetched, chosen.left_out)


def _make_schema(connection: psycopg.Connection[tuple[object, ...]], target: PostgresServer, schema: str) -> None:
    if connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)).fetchone():
        raise Refused(
            f"{target.redacted}: schema {schema} exists already; nothing was touched: give another name, or drop it"
        )
    connection.execute(sql(f"CREATE SCHEMA {quote(schema)}"))


def _qualified(
    connection: psycopg.Connection[tuple[object, ...]], relations: Sequence[Relation]
) -> dict[Relation, str]:
    """Names as the server quotes them."""
    result = {}
    for relation in relations:
        row = connection.execute("SELECT pg_catalog.format('%%I.%%I', %s::text, %s::text)", relation).fetchone()
        assert row is not None
        result[relation] = str(row[0])
    return result
