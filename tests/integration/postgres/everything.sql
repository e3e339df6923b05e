-- A database with everything that has ever surprised a dump: names, types, kinds of tables and things that are not tables.
-- Roles are made by the test (they are the server's). Run once, in an empty database, as a superuser.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION postgres_fdw;
CREATE SCHEMA app AUTHORIZATION "App Owner";
CREATE SCHEMA "Odd Schema";
CREATE SCHEMA "dots.and.""quotes""";
CREATE TYPE app.mood AS ENUM ('glad', 'sad', 'it''s "odd"');
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE TYPE app.pair AS (a int, b text);
CREATE TYPE app.span AS RANGE (subtype = float8);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := 'yes; $x$ -- not a comment'; RETURN NEW; END $$;
CREATE FUNCTION app.twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 2';
CREATE PROCEDURE app.nothing() LANGUAGE sql AS '';
CREATE AGGREGATE app.longest(text) (SFUNC = pg_catalog.textcat, STYPE = text);

CREATE TABLE app.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email citext NOT NULL UNIQUE,
    mood app.mood DEFAULT 'glad',
    score app.positive,
    doubled int GENERATED ALWAYS AS (app.twice(score::int)) STORED,
    pair app.pair, span app.span, tags text[], matrix int[][], extra hstore, doc json, docb jsonb, blob bytea,
    at timestamptz, during tstzrange, price numeric(20, 4), money money, address inet, mac macaddr, bits bit varying(9),
    place point, words tsvector, uid uuid, x xml, touched text,
    CONSTRAINT "odd check" CHECK (score < 1000000),
    EXCLUDE USING gist (during WITH &&) WHERE (during IS NOT NULL)
);
ALTER TABLE app.users OWNER TO "App Owner";
CREATE TRIGGER touch BEFORE INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
INSERT INTO app.users (email, mood, score, pair, span, tags, matrix, extra, doc, docb, blob, at, during, price, money, address,
                       mac, bits, place, words, uid, x)
SELECT 'User' || g || '@x.org', (enum_range(NULL::app.mood))[1 + g % 3], g, ROW(g, E'b\t' || g)::app.pair,
       app.span(g, g + 0.5), ARRAY['a', NULL, E'\\N', E'line\nbreak ' || g], ARRAY[[1, g], [3, 4]],
       hstore('k' || g, CASE WHEN g % 2 = 0 THEN NULL ELSE 'v' END), json_build_object('n', g, 's', E'\\.\n'),
       jsonb_build_object('n', g, 'deep', jsonb_build_array(g, NULL)), decode(md5(g::text), 'hex'),
       timestamptz '2026-01-01Z' + g * interval '1 s 1 us',
       CASE WHEN g % 10 = 0 THEN tstzrange(timestamptz '2026-01-01Z' + g * interval '1 h', timestamptz '2026-01-01Z' + (g + 1) * interval '1 h') END,
       g / 7.0, (g / 3.0)::numeric::money, ('10.0.0.' || g % 250)::inet, '08:00:2b:01:02:03', (g % 8)::bit(3)::bit varying(9),
       point(g, -0.0), to_tsvector('simple', 'word' || g), gen_random_uuid(), '<a b="1">text</a>'
  FROM generate_series(1, 500) g;
INSERT INTO app.users (email, score, price) VALUES ('nan@x.org', 1, 'NaN');

CREATE TABLE app.orders (
    id serial PRIMARY KEY, user_id bigint NOT NULL REFERENCES app.users ON DELETE CASCADE, parent int REFERENCES app.orders,
    state text COLLATE "C" DEFAULT 'new', note text
);
ALTER TABLE app.orders OWNER TO "App Owner";
INSERT INTO app.orders (user_id, parent, note) SELECT 1 + g % 500, nullif(g - 1, 0), repeat('Lorem; "ipsum" ', g % 40) FROM generate_series(1, 1000) g;
CREATE INDEX orders_note ON app.orders USING hash (note);
CREATE INDEX "Odd Index" ON app.orders (lower(state), (id + 1)) INCLUDE (user_id) WHERE id > 5;
CREATE STATISTICS app.order_stats (dependencies) ON user_id, state FROM app.orders;
ALTER TABLE app.orders CLUSTER ON orders_pkey;

-- names: two of these differ only in case, one looks like a pattern, one has a line break, one is a keyword
CREATE TABLE "Odd Schema"."odd name" ("odd column" int, "Select" text, "dots.in" text, "quo""te" text, "new
line" text);
INSERT INTO "Odd Schema"."odd name" SELECT g, 's', 'd', 'q', 'n' FROM generate_series(1, 10) g;
CREATE TABLE "Odd Schema"."ODD NAME" (a int); INSERT INTO "Odd Schema"."ODD NAME" VALUES (1);
CREATE TABLE "Odd Schema"."table*" (a int); INSERT INTO "Odd Schema"."table*" VALUES (2);
CREATE TABLE "Odd Schema"."table?|[a-z]+$^()\." (a int); INSERT INTO "Odd Schema"."table?|[a-z]+$^()\." VALUES (3);
CREATE TABLE "Odd Schema"."tablex" (a int); INSERT INTO "Odd Schema"."tablex" VALUES (4);
CREATE TABLE "Odd Schema"."dot.ted" (a int); INSERT INTO "Odd Schema"."dot.ted" VALUES (5);
CREATE TABLE "Odd Schema"."two
lines" (a int); INSERT INTO "Odd Schema"."two
lines" VALUES (6);
CREATE TABLE "Odd Schema"."quote""d 'n' $x$" (a int); INSERT INTO "Odd Schema"."quote""d 'n' $x$" VALUES (7);
CREATE TABLE "Odd Schema"."select" (a int); INSERT INTO "Odd Schema"."select" VALUES (8);
CREATE TABLE "Odd Schema"."ümläut 名前 🛟" (a int); INSERT INTO "Odd Schema"."ümläut 名前 🛟" VALUES (9);
CREATE TABLE "dots.and.""quotes"""."t" (a int PRIMARY KEY); INSERT INTO "dots.and.""quotes"""."t" SELECT generate_series(1, 3);
CREATE TABLE "Odd Schema".users (a int); INSERT INTO "Odd Schema".users VALUES (10);
CREATE TABLE app.no_columns (); INSERT INTO app.no_columns DEFAULT VALUES; INSERT INTO app.no_columns DEFAULT VALUES;
CREATE TABLE app.no_rows (a int);
CREATE TABLE app.dropped (a int, b int, c text); ALTER TABLE app.dropped DROP COLUMN b; INSERT INTO app.dropped VALUES (1, E'\\.'), (2, NULL), (3, ''), (4, E'COPY app.users (id) FROM stdin;\n1\n\\.\n');

-- partitions, of partitions too, one of them detached into another schema; inheritance in two generations
CREATE TABLE app.events (id bigint GENERATED BY DEFAULT AS IDENTITY, at date NOT NULL, kind text NOT NULL, PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.events_2026 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (kind);
CREATE TABLE "Odd Schema"."events 2026 a" PARTITION OF app.events_2026 FOR VALUES IN ('a');
CREATE TABLE app.events_2026_rest PARTITION OF app.events_2026 DEFAULT;
CREATE INDEX events_kind ON app.events (kind);
INSERT INTO app.events (at, kind) SELECT date '2025-06-01' + g, chr(97 + g % 3) FROM generate_series(1, 550) g;
CREATE TABLE app.parent (id int PRIMARY KEY, name text); CREATE TABLE app.child (more int) INHERITS (app.parent);
CREATE TABLE app.grandchild (yet_more text DEFAULT 'x') INHERITS (app.child);
ALTER TABLE app.parent ADD COLUMN late int DEFAULT 7;
INSERT INTO app.parent VALUES (1, 'p', 1); INSERT INTO app.child (id, name, more) VALUES (2, 'c', 3); INSERT INTO app.grandchild (id, name, more) VALUES (4, 'g', 5);
CREATE UNLOGGED TABLE app.fleeting (a int); INSERT INTO app.fleeting SELECT generate_series(1, 20);

CREATE SEQUENCE app.free_standing INCREMENT -3 MINVALUE -1000 MAXVALUE 90 START 90 CYCLE; SELECT nextval('app.free_standing'), nextval('app.free_standing');
CREATE SEQUENCE "Odd Schema"."Odd Seq" AS smallint;
CREATE TABLE app.shares_sequence (a int DEFAULT nextval('"Odd Schema"."Odd Seq"')); INSERT INTO app.shares_sequence DEFAULT VALUES;

CREATE VIEW app.glad_users WITH (security_barrier) AS SELECT id, email FROM app.users WHERE mood = 'glad';
CREATE MATERIALIZED VIEW app.counts AS SELECT mood, count(*) AS n FROM app.users GROUP BY 1; CREATE UNIQUE INDEX ON app.counts (mood);
CREATE MATERIALIZED VIEW app.empty_view AS SELECT 1 AS a WITH NO DATA;
CREATE RULE no_deletes AS ON DELETE TO app.no_rows DO INSTEAD NOTHING;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.orders USING (note IS NOT NULL OR true) WITH CHECK (id > 0);
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere.invalid', dbname 'x');
CREATE USER MAPPING FOR app_login SERVER elsewhere OPTIONS (user 'u', password 'planted-secret-mapping');
CREATE FOREIGN TABLE app.far_away (a int) SERVER elsewhere OPTIONS (table_name 'y');
CREATE PUBLICATION some_tables FOR TABLE app.users, app.orders;
CREATE FUNCTION app.noticed() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watch_ddl ON ddl_command_end EXECUTE FUNCTION app.noticed(); ALTER EVENT TRIGGER watch_ddl DISABLE;
CREATE SUBSCRIPTION from_elsewhere CONNECTION 'host=nowhere.invalid dbname=x password=planted-secret-subscription' PUBLICATION p WITH (connect = false);
COMMENT ON TABLE app.users IS E'people;\n"who" ''use'' it'; COMMENT ON COLUMN "Odd Schema"."odd name"."odd column" IS 'odd';

SELECT lo_from_bytea(0, 'first large object'), lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex')), lo_create(0);
GRANT USAGE ON SCHEMA app TO app_login, app_readers; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO app_login;
GRANT SELECT (email) ON app.users TO app_readers; GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO app_login;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO app_readers;
GRANT USAGE ON SCHEMA "Odd Schema" TO "odd; role";
