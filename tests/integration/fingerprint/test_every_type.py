"""Every type that a column can have: equal after a restore, and no change of a value goes unseen."""

from __future__ import annotations

import pytest

from tests.integration.fingerprint.conftest import Database, MakeDatabase, restored

pytestmark = pytest.mark.integration

# For each built-in type two values, different in text. Where the own "=" of a type does not see it, so much the
# better. Polymorphic and internal types that no column can have are left out by the query below.
SAMPLES = {
    "bool": ("true", "false"),
    "bytea": (r"\x00ff", r"\x00fe"),
    "char": ("a", "b"),
    "name": ("alpha", "Alpha"),
    "int8": ("1", "4294967296"),  # one 64-bit hash of the server is the same for both
    "int2": ("1", "-1"),
    "int4": ("1", "2"),
    "int2vector": ("1 2", "2 1"),
    "oidvector": ("1 2", "2 1"),
    "regproc": ("pg_catalog.now", "pg_catalog.version"),
    "regprocedure": ("pg_catalog.now()", "pg_catalog.version()"),
    "regoper": ("pg_catalog.||/", "pg_catalog.|/"),
    "regoperator": ("pg_catalog.+(integer,integer)", "pg_catalog.-(integer,integer)"),
    "regclass": ("pg_catalog.pg_class", "pg_catalog.pg_type"),
    "regtype": ("text", "integer"),
    "regrole": ("postgres", "pg_monitor"),
    "regnamespace": ("pg_catalog", "information_schema"),
    "regcollation": ('pg_catalog."C"', 'pg_catalog."POSIX"'),
    "regconfig": ("pg_catalog.simple", "pg_catalog.english"),
    "regdictionary": ("pg_catalog.simple", "pg_catalog.english_stem"),
    "regdatabase": ("template0", "template1"),
    "text": ("a", "a "),
    "oid": ("1", "2"),
    "tid": ("(0,1)", "(0,2)"),
    "xid": ("1", "2"),
    "xid8": ("1", "4294967296"),
    "cid": ("1", "2"),
    "json": ('{"a":1}', '{"a": 1}'),
    "jsonb": ('{"a": 1.0}', '{"a": 1.00}'),
    "jsonpath": ("$.a", "$.b"),
    "xml": ("<a/>", "<a></a>"),
    "point": ("(1,2)", "(1,3)"),
    "lseg": ("[(0,0),(1,1)]", "[(0,0),(1,2)]"),
    "path": ("((0,0),(1,1))", "[(0,0),(1,1)]"),
    "box": ("(1,1),(0,0)", "(2,0.5),(0,0)"),  # of equal area, which is all that "=" looks at
    "polygon": ("((0,0),(1,1),(2,0))", "((0,0),(1,1),(2,1))"),
    "line": ("{1,2,3}", "{1,2,4}"),
    "circle": ("<(0,0),1>", "<(5,5),1>"),  # likewise
    "float4": ("0", "-0"),
    "float8": ("0", "-0"),
    "numeric": ("1.0", "1.00"),
    "money": ("1.00", "1.01"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06"),
    "inet": ("10.0.0.1", "10.0.0.1/24"),
    "cidr": ("10.0.0.0/8", "10.0.0.0/16"),
    "aclitem": ("postgres=r/postgres", "postgres=w/postgres"),
    "bpchar": ("a", "a  "),  # without a length, trailing blanks are kept and "=" ignores them
    "varchar": ("a", "a "),
    "date": ("2026-11-21", "2026-11-22"),
    "time": ("10:00:00", "10:00:00.000001"),
    "timestamp": ("2026-11-21 10:00", "2026-11-21 10:00:00.000001"),
    "timestamptz": ("2026-11-21 10:00+00", "infinity"),
    "interval": ("1 day", "24 hours"),
    "timetz": ("10:00+00", "11:00+01"),
    "bit": ("1", "0"),
    "varbit": ("10", "100"),
    "uuid": ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"),
    "pg_lsn": ("0/1", "1/0"),
    "tsvector": ("'a':1", "'a':2"),
    "tsquery": ("'a'", "'a':*"),
    "refcursor": ("a", "b"),
    "txid_snapshot": ("10:20:15", "10:20:16"),
    "pg_snapshot": ("10:20:15", "10:20:16"),
    "gtsvector": None,
    "pg_node_tree": None,
    "pg_ndistinct": None,
    "pg_dependencies": None,
    "pg_mcv_list": None,
    "pg_brin_bloom_summary": None,
    "pg_brin_minmax_multi_summary": None,
    "int4range": ("[1,5)", "[1,6)"),
    "int8range": ("[1,5)", "[1,6)"),
    "numrange": ("[1.0,5]", "[1.00,5]"),
    "daterange": ("[2026-01-01,2026-02-01)", "[2026-01-01,)"),
    "tsrange": ("[2026-01-01,2026-02-01)", "[2026-01-01,2026-02-01]"),
    "tstzrange": ("[2026-01-01,2026-02-01)", "empty"),
    "int4multirange": ("{[1,5)}", "{[1,5),[7,8)}"),
    "int8multirange": ("{[1,5)}", "{}"),
    "nummultirange": ("{[1.0,5]}", "{[1.00,5]}"),
    "datemultirange": ("{[2026-01-01,2026-02-01)}", "{}"),
    "tsmultirange": ("{[2026-01-01,2026-02-01)}", "{}"),
    "tstzmultirange": ("{[2026-01-01,2026-02-01)}", "{}"),
}  # fmt: skip
"""None: values cannot be entered."""

OWN_TYPES = """
CREATE SCHEMA "Odd Schema";
CREATE TYPE "Odd Schema"."mood enum" AS ENUM ('sad', 'so so', 'hap"py');
ALTER TYPE "Odd Schema"."mood enum" ADD VALUE 'worse' BEFORE 'sad';
CREATE TYPE pair AS (a int, b "Odd Schema"."mood enum", c numeric);
CREATE DOMAIN score AS numeric CHECK (value >= 0);
CREATE DOMAIN double_score AS score;
CREATE DOMAIN moods AS "Odd Schema"."mood enum"[];
CREATE DOMAIN one_mood AS "Odd Schema"."mood enum";
CREATE DOMAIN short AS bpchar;
CREATE DOMAIN bits AS bit varying;
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
"""
OWN_SAMPLES = {
    '"Odd Schema"."mood enum"': ("sad", "worse"),
    '"Odd Schema"."mood enum"[]': ("{sad}", "[0:0]={sad}"),
    "pair": ("(1,sad,1.0)", "(1,sad,1.00)"),
    "pair[]": ('{"(1,sad,1.0)"}', '{"(1,sad,)"}'),
    "score": ("1.0", "1.00"),
    "double_score": ("1.0", "1.00"),
    "moods": ("{sad}", "{sad,NULL}"),
    "one_mood": ("sad", "worse"),
    "short": ("a", "a "),
    "bits": ("1", "10"),
    "float_range": ("[0,1)", "[-0,1)"),
    "char(5)": ("a", "b"),
    "text[]": ("{a,NULL}", '{a,"NULL"}'),
    "int8[]": ("{1}", "{4294967296}"),
    "int4[]": ("{1,2}", "{{1,2}}"),
}


@pytest.fixture(scope="module")
def typed(new_database: MakeDatabase) -> Database:
    """A table for each type that a column can have, with two different values, a null and a duplicate."""
    database = new_database()
    database.run(OWN_TYPES)
    with database.connect() as connection:
        built_in = [row[0] for row in connection.execute(BUILT_IN_TYPES.encode())]
        unknown = sorted(set(built_in) - SAMPLES.keys())
        assert not unknown, f"PostgreSQL {database.major} has types without samples: give each two values"
        samples = {f'pg_catalog."{name}"': SAMPLES[name] for name in built_in if SAMPLES[name] is not None}
        if not database.value("SELECT setting ~ 'libxml' FROM pg_config WHERE name = 'CONFIGURE'"):
            del samples['pg_catalog."xml"']  # this build has no XML
        for number, (type_name, pair) in enumerate((samples | OWN_SAMPLES).items()):
            connection.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {type_name})".encode())
            connection.execute(f"COMMENT ON TABLE t{number} IS '{type_name}'".encode())
            assert pair is not None
            for key, value in enumerate((*pair, None, pair[0])):
                connection.execute(f"INSERT INTO t{number} VALUES (%s, %s::{type_name})".encode(), [key, value])
    return database


BUILT_IN_TYPES = """
SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
 WHERE nspname = 'pg_catalog' AND typtype IN ('b', 'r', 'm') AND t.oid < 16384
   AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
"""


def _tables(database: Database) -> dict[str, str]:
    query = """SELECT oid::regclass::text, obj_description(oid) FROM pg_class
                WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
    with database.connect() as connection:
        return dict(connection.execute(query.encode()).fetchall())


def test_all_types_are_equal_after_a_restore(typed: Database, new_database: MakeDatabase) -> None:
    before = typed.fingerprint()
    assert len(before.tables) > 70

    comparison = restored(typed, new_database()).compared_with(before)

    assert comparison.differences == ()
    assert comparison.identical


CHANGES = {
    "another value": (
        "UPDATE {t} SET v = (SELECT v FROM {t} WHERE id = 1) WHERE id = 0",
        "UPDATE {t} SET v = (SELECT v FROM {t} WHERE id = 3) WHERE id = 0",
    ),
    "null for a value": (
        "UPDATE {t} SET v = NULL WHERE id = 0",
        "UPDATE {t} SET v = (SELECT v FROM {t} WHERE id = 3) WHERE id = 0",
    ),
    "values that changed places": (  # a plain sum of the server's record hashes would stay the same
        "UPDATE {t} SET v = (SELECT v FROM {t} o WHERE o.id = 1 - {t}.id) WHERE id IN (0, 1)",
        "UPDATE {t} SET v = (SELECT v FROM {t} o WHERE o.id = 1 - {t}.id) WHERE id IN (0, 1)",
    ),
    "a row less": (
        "DELETE FROM {t} WHERE id = 3",
        "INSERT INTO {t} SELECT 3, v FROM {t} WHERE id = 0",
    ),
}


@pytest.mark.parametrize("mode", ["record", "text"])
@pytest.mark.parametrize("change", CHANGES)
def test_no_change_goes_unseen(typed: Database, change: str, mode: str) -> None:
    do, undo = CHANGES[change]
    types = _types_by_table(typed)
    before = typed.fingerprint(mode=mode)

    typed.run(";".join(do.format(t=table) for table in types))
    after = typed.fingerprint(mode=mode)
    typed.run(";".join(undo.format(t=table) for table in types))

    unseen = [types[name] for name, table in after.tables.items() if table.digest == before.tables[name].digest]
    assert unseen == []
    assert typed.fingerprint(mode=mode).tables == before.tables


def _types_by_table(database: Database) -> dict[str, str]:
    query = """SELECT 'public.' || relname, obj_description(oid) FROM pg_class
                WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
    with database.connect() as connection:
        return dict(connection.execute(query.encode()).fetchall())
