"""Databases with everything that a dump may carry: equal after a restore, and each change is found and named."""

from __future__ import annotations

import re

import pytest

from tests.integration.fingerprint.conftest import Database, MakeDatabase, restored

pytestmark = pytest.mark.integration

SCHEMA = r"""
CREATE SCHEMA "Odd ""Schema";
CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'sells';
CREATE EXTENSION IF NOT EXISTS plpgsql;

CREATE TYPE shop.state AS ENUM ('open', 'paid', 'sent');
CREATE DOMAIN shop.amount AS numeric(12, 2) DEFAULT 0 CONSTRAINT not_negative CHECK (VALUE >= 0);
CREATE TYPE shop.line AS (article text, number int, state shop.state);
CREATE TYPE shop.span AS RANGE (subtype = float8);
CREATE SEQUENCE shop.ticket INCREMENT BY -3 MAXVALUE 100 START 90 CACHE 5;
CREATE SEQUENCE shop.untouched;

CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gone text,
    customer text COLLATE "C" NOT NULL,
    state shop.state NOT NULL DEFAULT 'open',
    net shop.amount,
    gross numeric GENERATED ALWAYS AS (net * 1.19) STORED,
    lines shop.line[],
    during shop.span,
    doc jsonb,
    CONSTRAINT paid_has_net CHECK (state <> 'paid' OR net IS NOT NULL)
) WITH (fillfactor = 90);
ALTER TABLE shop.orders DROP COLUMN gone;
ALTER TABLE shop.orders ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN customer SET STATISTICS 500;
CREATE UNIQUE INDEX orders_customer ON shop.orders (lower(customer), id DESC) WHERE state <> 'sent';
COMMENT ON COLUMN shop.orders.net IS 'without tax';
CREATE STATISTICS shop.orders_stat (dependencies) ON customer, state FROM shop.orders;

CREATE TABLE shop.events (at date NOT NULL, what text, CONSTRAINT events_pkey PRIMARY KEY (at, what))
    PARTITION BY RANGE (at);
CREATE TABLE shop.events_2025 PARTITION OF shop.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.events_2026 (what text NOT NULL, at date NOT NULL, gone int);
ALTER TABLE shop.events_2026 DROP COLUMN gone;
ALTER TABLE shop.events ATTACH PARTITION shop.events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shop.events_rest PARTITION OF shop.events DEFAULT PARTITION BY HASH (what);
CREATE TABLE shop.events_rest_0 PARTITION OF shop.events_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE INDEX events_what ON shop.events (what);
CREATE TABLE shop.notes (at date, what text, note text, FOREIGN KEY (at, what) REFERENCES shop.events);
INSERT INTO shop.events SELECT '2024-12-30'::date + g, 'w' || g % 7 FROM generate_series(0, 900, 3) g;
INSERT INTO shop.notes SELECT at, what, 'n' FROM shop.events LIMIT 20;

CREATE TABLE shop.parent (a int, b text DEFAULT 'x', CONSTRAINT a_small CHECK (a < 1000));
CREATE TABLE shop.child (z int, b text, a int);
ALTER TABLE shop.child ADD CONSTRAINT a_small CHECK (a < 1000);
ALTER TABLE shop.child INHERIT shop.parent;
ALTER TABLE shop.parent ADD COLUMN late timestamptz;
CREATE TABLE shop.grandchild (extra point) INHERITS (shop.child);
INSERT INTO shop.parent SELECT g, 'p' || g FROM generate_series(1, 20) g;
INSERT INTO shop.child SELECT g, 'c' || g, g FROM generate_series(1, 30) g;
INSERT INTO shop.grandchild SELECT g, 'g' || g, g, now(), point(g, g) FROM generate_series(1, 40) g;

CREATE TABLE shop.nothing ();
INSERT INTO shop.nothing SELECT FROM generate_series(1, 5);
CREATE TABLE "Odd ""Schema"."tab le; DROP" ("co l" int, "Größe" text, "select" bool);
INSERT INTO "Odd ""Schema"."tab le; DROP" VALUES (1, 'ä', true), (1, 'ä', true), (NULL, NULL, NULL);
CREATE UNLOGGED TABLE shop.basket (id int); INSERT INTO shop.basket VALUES (1);
CREATE TABLE shop.secrets (owner text, secret text);
INSERT INTO shop.secrets VALUES ('ada', '1'), ('grace', '2');
ALTER TABLE shop.secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.secrets FOR SELECT USING (owner = current_user);

INSERT INTO shop.orders (customer, state, net, lines, during, doc)
    SELECT 'c' || g, (enum_range(NULL::shop.state))[1 + g % 3], g, ARRAY[ROW('a', g, 'open')::shop.line], '[0,1)',
           jsonb_build_object('n', g, 'long', repeat('text ' || g, 900))
      FROM generate_series(1, 200) g;
SELECT nextval('shop.ticket');

CREATE VIEW shop.paid WITH (security_barrier) AS SELECT id, net FROM shop.orders WHERE state = 'paid' WITH CHECK OPTION;
CREATE RULE paid_is_final AS ON DELETE TO shop.paid DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW shop.totals AS SELECT state, sum(net) AS net FROM shop.orders GROUP BY state;
CREATE FUNCTION shop.tax(n numeric, rate numeric DEFAULT 0.19) RETURNS numeric LANGUAGE sql IMMUTABLE
    RETURN n * rate;
CREATE FUNCTION shop.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.stamp();
CREATE TRIGGER stamp_events BEFORE UPDATE ON shop.events FOR EACH ROW EXECUTE FUNCTION shop.stamp();
CREATE PROCEDURE shop.clean() LANGUAGE sql AS 'DELETE FROM shop.basket';
CREATE AGGREGATE shop.product (numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
CREATE OPERATOR shop.### (leftarg = numeric, rightarg = numeric, function = numeric_add);
CREATE CAST (shop.line AS text) WITH INOUT;
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER far FOREIGN DATA WRAPPER elsewhere OPTIONS (place 'moon');
CREATE FOREIGN TABLE shop.remote (id int) SERVER far OPTIONS (name 'x');
CREATE PUBLICATION changes FOR TABLE shop.orders (id, customer) WHERE (id > 5);
CREATE TEXT SEARCH CONFIGURATION shop.words (COPY = pg_catalog.english);
CREATE TEMPORARY TABLE passing (id int);

SELECT lo_create(4711), lo_create(4712), lo_create(4713);
SELECT lo_put(4711, 0, 'hello'), lo_put(4712, 10000000, 'sparse'), lo_put(4711, 5000, '\x00000000');
COMMENT ON LARGE OBJECT 4711 IS 'greeting';
GRANT SELECT ON shop.orders, shop.paid TO PUBLIC;
GRANT UPDATE (net) ON shop.orders TO pg_monitor;
REVOKE EXECUTE ON FUNCTION shop.tax FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO pg_monitor;
"""


@pytest.fixture(scope="module")
def odd(new_database: MakeDatabase) -> Database:
    """A database full of oddities."""
    database = new_database()
    database.run(SCHEMA)
    return database


def test_it_is_equal_after_a_restore(odd: Database, new_database: MakeDatabase) -> None:
    before = odd.fingerprint()

    comparison = restored(odd, new_database()).compared_with(before)

    assert comparison.differences == ()
    assert comparison.identical
    assert "every one equal" in comparison.verdict


def test_only_leaves_and_own_rows_are_counted(odd: Database) -> None:
    tables = odd.fingerprint().tables

    assert "shop.events" not in tables
    assert sum(table.rows for name, table in tables.items() if name.startswith("shop.events_")) == 301
    assert [tables[f"shop.{name}"].rows for name in ("parent", "child", "grandchild")] == [20, 30, 40]
    assert tables["shop.nothing"].rows == 5
    assert tables['"Odd ""Schema"."tab le; DROP"'].columns == ("Größe", "co l", "select")
    assert "gone" not in tables["shop.orders"].columns


def test_what_is_not_compared_is_named_with_the_reason(odd: Database) -> None:
    not_compared = {entry.object: entry.why for entry in odd.fingerprint().not_compared}

    assert not_compared.keys() == {"shop.totals", "shop.remote"}
    assert "its rows come from its query" in not_compared["shop.totals"]
    assert "foreign server far" in not_compared["shop.remote"]


def test_temporary_tables_of_live_sessions_are_named(odd: Database) -> None:
    with odd.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE passing (id int)")
        names = {entry.object for entry in odd.fingerprint().not_compared}

    assert "temporary tables" in names


def test_unlogged_tables_are_left_out_where_the_copy_comes_from_wal(odd: Database) -> None:
    found = odd.fingerprint(unlogged=False)

    assert "shop.basket" not in found.tables
    assert any(entry.object == "shop.basket" and "unlogged" in entry.why for entry in found.not_compared)


@pytest.mark.demand("L24")
def test_an_excluded_table_is_named_also_when_it_is_missing_from_both(odd: Database) -> None:
    exclude = {"shop.orders": "too secret", "shop.events": "rebuilt nightly", "shop.never": "gone long ago"}
    before = odd.fingerprint(exclude=exclude)

    comparison = odd.compared_with(before)

    why = {entry.object: entry.why for entry in comparison.not_compared}
    assert comparison.identical
    assert not {name for name in before.tables if name.startswith(("shop.orders", "shop.events"))}
    assert why["shop.orders"] == "left out: too secret"
    assert why["shop.events_2025"] == why["shop.events_rest_0"] == "left out: rebuilt nightly"
    assert why["shop.never"] == "left out: gone long ago; there is no such table"


CHANGES = {
    "DELETE FROM shop.parent WHERE a = 7 AND b = 'p7'": r"shop.parent has 19 rows .* 20 .*: 1 row missing",
    "INSERT INTO shop.orders (customer) VALUES ('new')": r"shop.orders has 201 rows .*: 1 row too many",
    "UPDATE ONLY shop.child SET z = -1 WHERE a = 7":
        r"shop.child has 30 rows in the copy as in the backup, but at least 1 row is not equal",
    "UPDATE ONLY shop.parent SET b = 'same'": r"shop.parent .* at least \d+ \(.*\) rows are not equal",
    "INSERT INTO shop.nothing DEFAULT VALUES": r"shop.nothing has 6 rows",
    """INSERT INTO "Odd ""Schema"."tab le; DROP" VALUES (2, 'b', false), (2, 'b', false)""": r"2 rows too many",
    "UPDATE shop.events SET at = '2025-06-01' WHERE at = '2026-06-05'": r"shop.events_2025 has .*: 1 row too many",
    "CREATE TABLE shop.more (id int)": r"shop.more is in the copy with 0 rows, and not in the backup",
    "DROP TABLE shop.basket": r"shop.basket is missing in the copy; the backup has it with 1 row",
    "ALTER TABLE shop.notes RENAME note TO remark": r"other columns .*missing: note; unexpected: remark",
    "DROP INDEX shop.orders_customer": r"index shop.orders_customer on shop.orders is missing in the copy",
    "ALTER TABLE shop.events DROP CONSTRAINT events_pkey CASCADE": r"constraint .*events_pkey.* is missing",
    "ALTER TABLE shop.orders ALTER net SET DEFAULT 5": r"column shop.orders.net is defined in another way",
    "ALTER TABLE shop.orders ALTER customer DROP NOT NULL": r"column shop.orders.customer is defined in another way",
    "ALTER TABLE shop.secrets ALTER secret TYPE varchar": r"column shop.secrets.secret is defined in another way",
    "ALTER TABLE shop.orders DROP CONSTRAINT paid_has_net": r"constraint paid_has_net on shop.orders is missing",
    "ALTER TABLE shop.orders SET (fillfactor = 80)": r"table shop.orders is defined in another way",
    "ALTER TABLE shop.orders DISABLE TRIGGER stamp": r"trigger stamp on shop.orders is defined in another way",
    "DROP TRIGGER stamp_events ON shop.events": r"trigger stamp_events on shop.events_2025 is missing",
    "CREATE OR REPLACE FUNCTION shop.tax(n numeric, rate numeric DEFAULT 0.2) RETURNS numeric LANGUAGE sql IMMUTABLE "
    "RETURN n * rate": r"function shop.tax\(numeric,numeric\) is defined in another way",
    "DROP AGGREGATE shop.product (numeric)": r"aggregate shop.product\(numeric\) is missing",
    "CREATE OR REPLACE VIEW shop.paid WITH (security_barrier) AS SELECT id, net FROM shop.orders WHERE state = 'sent' "
    "WITH CHECK OPTION": r"view shop.paid is defined in another way",
    "DROP RULE paid_is_final ON shop.paid": r"rule paid_is_final on shop.paid is missing",
    "DROP POLICY own ON shop.secrets": r"policy own on shop.secrets is missing",
    "ALTER TABLE shop.secrets DISABLE ROW LEVEL SECURITY": r"table shop.secrets is defined in another way",
    "ALTER TYPE shop.state ADD VALUE 'lost'": r"enum shop.state is defined in another way",
    "ALTER DOMAIN shop.amount DROP CONSTRAINT not_negative": r"domain shop.amount is defined in another way",
    "ALTER TYPE shop.line ADD ATTRIBUTE price numeric CASCADE": r"column shop.line.price is in the copy, and not in",
    "DROP STATISTICS shop.orders_stat": r"statistics shop.orders_stat is missing",
    "DROP MATERIALIZED VIEW shop.totals": r"materialised view shop.totals is missing",
    "ALTER FOREIGN TABLE shop.remote OPTIONS (SET name 'y')": r"foreign table shop.remote is defined in another way",
    "ALTER SERVER far OPTIONS (SET place 'mars')": r"foreign server far is defined in another way",
    "ALTER PUBLICATION changes SET TABLE shop.orders": r"publication changes is defined in another way",
    "DROP OPERATOR shop.### (numeric, numeric)": r"operator shop.###\(numeric,numeric\) is missing",
    "DROP CAST (shop.line AS text)": r"cast shop.line as text is missing",
    "ALTER TEXT SEARCH CONFIGURATION shop.words DROP MAPPING FOR word": r"text search configuration shop.words is",
    "COMMENT ON COLUMN shop.orders.net IS 'with tax'": r"comment on table column shop.orders.net is defined in another",
    "ALTER SEQUENCE shop.ticket INCREMENT BY -4": r"sequence shop.ticket is defined in another way",
    "SELECT nextval('shop.untouched')": r"sequence shop.untouched gives 2 next in the copy, ahead of 1 in the backup",
    "SELECT setval('shop.orders_id_seq', 1)": r"sequence shop.orders_id_seq gives 2 next in the copy, behind 201",
    "SELECT lo_put(4711, 2, 'L')": r"there are 3 large objects in the copy as in the backup, but their contents differ",
    "SELECT lo_unlink(4712)": r"there are 2 large objects in the copy, 3 in the backup",
    "REVOKE SELECT ON shop.orders FROM PUBLIC": r"grants on table shop.orders differ in the copy",
    "REVOKE UPDATE (net) ON shop.orders FROM pg_monitor": r"grants on column shop.orders.net is missing in the copy",
    "ALTER TABLE shop.parent OWNER TO pg_monitor": r"grants on table shop.parent differ in the copy",
    "ALTER DATABASE {database} SET work_mem = '8MB'": r"database settings is in the copy, and not in the backup",
    "CREATE ROLE {database}_role": None,
}  # fmt: skip


BATCHES = 6


@pytest.mark.parametrize("batch", range(BATCHES))
def test_each_change_is_found_and_named(odd: Database, new_database: MakeDatabase, batch: int) -> None:
    """Several changes at a time, of different objects: a copy for each would take minutes."""
    changes = dict(list(CHANGES.items())[batch::BATCHES])
    before = odd.fingerprint()
    copy = _copied(odd, new_database())
    for change in changes:
        copy.run(change.format(database=copy.server.database))

    comparison = copy.compared_with(before)

    messages = [difference.message for difference in comparison.differences]
    unseen = {
        change: expected
        for change, expected in changes.items()
        if expected is not None and not any(re.search(expected, message) for message in messages)
    }
    assert not unseen, messages
    assert not any("role" in message for message in messages)
    assert all("\n" not in message for message in messages)
    assert not comparison.identical
    assert comparison.verdict.startswith("not identical: ")


def _copied(source: Database, empty: Database) -> Database:
    """A copy file by file, which has the same OIDs and no rows out of place."""
    name = empty.server.database
    with Database(source.server.with_database("postgres"), source.tools).connect() as connection:
        connection.execute(f"DROP DATABASE {name}".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source.server.database}".encode())
    return empty


def test_a_missing_extension_is_named(odd: Database, new_database: MakeDatabase) -> None:
    copy = _copied(odd, new_database())
    copy.run("DROP EXTENSION plpgsql CASCADE")

    messages = [difference.message for difference in copy.compared_with(odd.fingerprint()).differences]

    assert "extension plpgsql is missing in the copy, version 1.0 in the backup" in messages
