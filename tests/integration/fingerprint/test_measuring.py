"""How a database is measured: rights, hidden rows, snapshots, samples, large objects, trouble on the way."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import psycopg
import pytest

from include.recovery.errors import InsufficientRights, LifeboatError, RowsHidden, SourceError, SourceUnavailable
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure, measure_like
from include.recovery.fingerprint.sequences import read_sequences
from tests.integration.fingerprint.conftest import Database, MakeDatabase, restored

pytestmark = pytest.mark.integration

PEOPLE = """
CREATE TABLE people (id int PRIMARY KEY, name text, note text);
INSERT INTO people SELECT g, 'name ' || g, repeat(md5(g::text), 10) FROM generate_series(1, 40000) g;
CREATE TABLE pets (id serial PRIMARY KEY, owner int);
INSERT INTO pets (owner) SELECT g FROM generate_series(1, 100) g;
"""
SLOW = "state = 'active' AND query ~ 'FROM pg_sleep' AND pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def people(new_database: MakeDatabase) -> Database:
    """A table of 15 MB and a small one. Tests leave it as they found it."""
    database = new_database()
    database.run(PEOPLE)
    return database


@pytest.fixture
def reader(people: Database) -> str:
    """A role that may log in and has no rights yet."""
    name = f"reader_{people.server.database}"
    people.run(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN")
    return name


def test_missing_rights_are_named_all_at_once(people: Database, reader: str) -> None:
    with pytest.raises(InsufficientRights, match=r"may not read public\.people, public\.pets; grant"):
        people.fingerprint(user=reader)


def test_rights_on_the_tables_in_question_are_enough(people: Database, reader: str) -> None:
    people.run(f"GRANT SELECT ON people TO {reader}")
    try:
        with pytest.raises(InsufficientRights, match=r"may not read public\.pets;"):
            people.fingerprint(user=reader)
        assert people.fingerprint(user=reader, tables=["public.people"]).rows == 40000
    finally:
        people.run(f"DROP OWNED BY {reader}")


def test_unreadable_sequences_are_named(people: Database, reader: str) -> None:
    people.run(f"GRANT SELECT ON people, pets TO {reader}")
    try:
        with pytest.raises(InsufficientRights, match=r"sequences public\.pets_id_seq"):
            people.fingerprint(user=reader)
    finally:
        people.run(f"DROP OWNED BY {reader}")


def test_a_reader_sees_what_the_superuser_sees(people: Database, reader: str) -> None:
    people.run(f"GRANT pg_read_all_data TO {reader}; ALTER ROLE {reader} BYPASSRLS")

    assert people.fingerprint(user=reader) == people.fingerprint()


def test_hidden_rows_are_refused(people: Database, reader: str) -> None:
    people.run(f"GRANT pg_read_all_data TO {reader}; ALTER TABLE pets ENABLE ROW LEVEL SECURITY")
    try:
        with pytest.raises(RowsHidden, match=r"would hide rows of public\.pets from role reader_"):
            people.fingerprint(user=reader)
        people.run(f"ALTER ROLE {reader} BYPASSRLS")
        assert people.fingerprint(user=reader).tables["public.pets"].rows == 100
    finally:
        people.run("ALTER TABLE pets DISABLE ROW LEVEL SECURITY")


def test_it_sees_the_snapshot_and_nothing_later(database: Database) -> None:
    database.run(PEOPLE)
    before = database.fingerprint()
    with database.connect() as exporter:
        exporter.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        snapshot = exporter.execute("SELECT pg_export_snapshot()").fetchone()
        assert snapshot is not None
        database.run("DELETE FROM people WHERE id < 100; INSERT INTO pets (owner) VALUES (1)")
        within = database.fingerprint(snapshot=snapshot[0])

    assert within.tables == before.tables
    assert database.fingerprint().tables != before.tables


def test_one_worker_finds_what_four_find(people: Database) -> None:
    assert people.fingerprint(workers=1) == people.fingerprint(workers=4)


def test_order_and_place_do_not_matter(people: Database) -> None:
    before = people.fingerprint().tables

    people.run("CREATE INDEX people_backwards ON people (name DESC); CLUSTER people USING people_backwards")
    people.run("DROP INDEX people_backwards; UPDATE people SET name = name WHERE id % 3 = 0")

    assert people.fingerprint().tables == before


def test_equal_rows_do_not_cancel(database: Database) -> None:
    database.run("CREATE TABLE twins (a int, b text); INSERT INTO twins VALUES (1, 'x'), (2, 'y')")
    before = database.fingerprint()
    database.run("INSERT INTO twins VALUES (3, 'z'), (3, 'z'); DELETE FROM twins WHERE a < 3")

    comparison = database.compared_with(before)

    assert [difference.kind for difference in comparison.differences] == ["content"]


def test_chosen_tables_only(people: Database, new_database: MakeDatabase) -> None:
    whole = people.fingerprint()
    copy = restored(people, new_database())
    copy.run("CREATE SCHEMA back; ALTER TABLE people SET SCHEMA back; DROP TABLE pets")
    found = measure_like(whole, copy.connect, tables=["back.people"])

    comparison = compare(whole, found, tables=["public.people"], renamed={"public.people": "back.people"})

    assert comparison.identical
    assert (comparison.compared_tables, comparison.compared_rows) == (1, 40000)
    assert [entry.object for entry in comparison.not_compared] == ["everything else"]
    assert found.scope == "tables"
    with pytest.raises(SourceError, match=r"has no table public\.nobody"):
        people.fingerprint(tables=["public.nobody"])


def test_a_sample_is_never_called_identical(people: Database, new_database: MakeDatabase) -> None:
    before = people.fingerprint(coverage=0.1)
    copy = restored(people, new_database())

    comparison = copy.compared_with(before)

    assert comparison.equal_as_far_as_compared
    assert not comparison.identical
    assert comparison.sampled_tables == 1  # the small table was hashed whole
    assert comparison.compared_rows == 40100
    assert "1 row with 10%" in str(comparison.confidence)
    copy.run("UPDATE people SET note = 'damaged' WHERE id % 40 = 0")
    assert [difference.object for difference in copy.compared_with(before).differences] == ["public.people"]
    copy.run("DELETE FROM people WHERE id = 1")
    assert "1 row missing" in copy.compared_with(before).differences[0].message


def test_a_sample_says_nothing_about_a_full_fingerprint(people: Database) -> None:
    comparison = compare(people.fingerprint(), people.fingerprint(coverage=0.5))

    assert not comparison.identical
    assert "cannot be compared" in comparison.differences[0].message


def test_coverage_beyond_reason_is_refused(people: Database) -> None:
    with pytest.raises(SourceError, match="allowed are 'full' and shares"):
        people.fingerprint(coverage=1.5)


def test_sequences_may_be_ahead_where_that_is_allowed(database: Database) -> None:
    database.run("CREATE SEQUENCE up; CREATE SEQUENCE down INCREMENT -2; SELECT nextval('up'), nextval('down')")
    with database.connect() as connection:
        connection.execute("SET search_path = ''")
        earlier = read_sequences(connection)
    before = database.fingerprint(sequences=earlier)
    database.run("SELECT nextval('up'), nextval('down')")

    assert database.compared_with(before, sequences="at least").identical
    messages = [difference.message for difference in database.compared_with(before).differences]
    assert messages == [
        "sequence public.down gives -5 next in the copy, ahead of -3 in the backup",
        "sequence public.up gives 3 next in the copy, ahead of 2 in the backup",
    ]
    database.run("SELECT setval('up', 1, false)")
    behind = database.compared_with(before, sequences="at least")
    assert "behind 2 in the backup" in behind.differences[0].message


def test_large_objects_read_by_pages_and_by_object_are_the_same(database: Database, new_database: MakeDatabase) -> None:
    role = f"plain_{database.server.database}"
    database.run(
        f"""
        CREATE ROLE {role} LOGIN;
        SELECT lo_from_bytea(g, decode(repeat(md5(g::text), g), 'hex')) FROM generate_series(101, 700) g;
        SELECT lo_create(701), lo_create(702), lo_create(703), lo_create(704);
        SELECT lo_put(701, 9000000, 'far out'), lo_put(702, 0, decode(repeat('00', 5000), 'hex'));
        SELECT lo_put(703, 0, 'short'), lo_put(703, 2048, 'page');
        """
    )
    by_pages = database.fingerprint().large_objects
    with pytest.raises(InsufficientRights, match="large object"):
        database.fingerprint(user=role)
    with database.connect() as connection:
        for (oid,) in connection.execute("SELECT oid FROM pg_largeobject_metadata").fetchall():
            connection.execute(f"GRANT SELECT ON LARGE OBJECT {oid} TO {role}".encode())

    by_object = database.fingerprint(user=role).large_objects

    assert by_pages is not None
    assert by_pages.rows == 604
    assert by_object == by_pages
    copy = restored(database, new_database())
    assert copy.fingerprint().large_objects == by_pages
    copy.run("SELECT lo_put(703, 5, ' ')")
    assert copy.fingerprint().large_objects != by_pages
    text = copy.fingerprint(mode="text").large_objects
    assert text is not None
    assert text.rows == 604


def test_stopping_cancels_what_runs(people: Database) -> None:
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    began = time.monotonic()

    with pytest.raises(LifeboatError, match="stopped"):
        measure(partial(_slow_session, people), stop=stop)

    assert time.monotonic() - began < 20
    assert people.value(f"SELECT count(*) FROM pg_stat_activity WHERE {SLOW}") == 0


def _slow_session(database: Database) -> psycopg.Connection[Any]:
    """A session in which the server needs a minute for the big table."""
    session = database.connect()
    original = session.execute

    def execute(query: Any, *words: Any, **options: Any) -> Any:
        if isinstance(query, str) and "FROM ONLY public.people" in query:
            query = "SELECT 0, 0, 0, 0 FROM pg_sleep(60.0)"
        return original(query, *words, **options)

    session.execute = execute  # type: ignore[method-assign]
    return session


def test_a_killed_session_is_trouble_on_the_way(people: Database) -> None:
    def kill() -> None:
        people.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {SLOW}")

    threading.Timer(1, kill).start()

    with pytest.raises(SourceUnavailable, match="went away"):
        measure(partial(_slow_session, people))


def test_tables_are_locked_against_truncation(people: Database) -> None:
    """TRUNCATE does not respect snapshots: the table would look empty."""
    blocked: list[Exception] = []

    def truncate() -> None:
        try:
            people.run("SET lock_timeout = '200ms'; TRUNCATE people")
        except psycopg.errors.LockNotAvailable as error:
            blocked.append(error)

    def stop_then_truncate() -> None:
        truncate()
        stop.set()

    stop = threading.Event()
    threading.Timer(1, stop_then_truncate).start()
    with pytest.raises(LifeboatError, match="stopped"):
        measure(partial(_slow_session, people), stop=stop)

    assert len(blocked) == 1
    assert people.value("SELECT count(*) FROM people") == 40000


def test_a_server_that_is_not_there_is_trouble_on_the_way() -> None:
    with pytest.raises(SourceUnavailable):
        measure(lambda: psycopg.connect(host="/nowhere", dbname="x"))


def test_names_of_snapshots_are_checked(people: Database) -> None:
    with pytest.raises(SourceError, match="not the name of an exported snapshot"):
        people.fingerprint(snapshot="x'; DROP TABLE people; --")
