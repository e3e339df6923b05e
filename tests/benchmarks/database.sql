-- A learning platform's database for the benchmarks, about 0.2 GiB for each unit of :scale.
--   psql -X -v ON_ERROR_STOP=1 -v scale=10 -d DATABASE -f database.sql
-- Wide rows of prose and JSON (a twentieth long enough for TOAST), files that do not compress, a partitioned log and a
-- narrow ledger. Two databases of one scale have the same number of rows and nearly the same size.
SET synchronous_commit = off;
SET max_parallel_workers_per_gather = 0;
SELECT setseed(0.2026) \g /dev/null

-- Prose: words of a skewed vocabulary on pages of 64 kB. Texts are cut out of it at random places. There is so much of
-- it that what repeats is far beyond the window of any compressor. Bytes, not compressed: so cutting reads little.
CREATE TEMPORARY TABLE page (number int, content bytea);
ALTER TABLE page ALTER content SET STORAGE EXTERNAL;
CREATE FUNCTION pg_temp.pages(pages int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  vocabulary text[] := ARRAY(
    SELECT string_agg(substr('eeetttaaooiinnsshhrrddllcumwfgypbvk', 1 + floor(35 * random())::int, 1), '')
      FROM generate_series(1, 7000) word, generate_series(1, 2 + (word * 31) % 8) GROUP BY word);
  piece text;
BEGIN
  vocabulary := vocabulary || ''::text;  -- now it is kept unpacked: looking a word up takes no time
  FOR page IN 1 .. pages LOOP
    piece := '';
    FOR line IN 1 .. 640 LOOP
      piece := piece || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || ' ' ||
        vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || ' ' || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] ||
        ' ' || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || ' ' ||
        vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || ' ' || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] ||
        ' ' || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || ' ' ||
        vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || ' ' || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] ||
        ' ' || vocabulary[1 + floor(7000 * random() ^ 2.6)::int] || '. ';
    END LOOP;
    RETURN NEXT piece;
  END LOOP;
END $$;
INSERT INTO page SELECT n, convert_to(content, 'UTF8') FROM ROWS FROM (pg_temp.pages(150 * :scale), generate_series(1, 150 * :scale)) AS p (content, n);
CREATE FUNCTION pg_temp.cut(content bytea, start int, length int) RETURNS text LANGUAGE sql
  RETURN convert_from(substr($1, $2, $3), 'UTF8');
CREATE UNIQUE INDEX ON page (number);
ANALYZE page;

CREATE TYPE speaker AS ENUM ('system', 'learner', 'tutor', 'tool');
CREATE TABLE learners (
  id bigserial PRIMARY KEY, handle uuid NOT NULL UNIQUE, email text NOT NULL UNIQUE, full_name text,
  preferences jsonb NOT NULL, balance numeric(12, 2) NOT NULL, active boolean NOT NULL, joined timestamptz NOT NULL);
CREATE TABLE threads (
  id bigserial PRIMARY KEY, learner_id bigint NOT NULL, title text, labels text[] NOT NULL, facts jsonb NOT NULL,
  opened timestamptz NOT NULL, closed timestamptz);
CREATE TABLE posts (
  id bigserial PRIMARY KEY, thread_id bigint NOT NULL, speaker speaker NOT NULL, body text NOT NULL, facts jsonb,
  tokens int NOT NULL, score double precision, posted timestamptz NOT NULL);
CREATE TABLE files (
  id bigserial PRIMARY KEY, post_id bigint NOT NULL, name text NOT NULL, checksum text NOT NULL, body bytea NOT NULL);
CREATE TABLE clicks (
  id bigint NOT NULL, learner_id bigint NOT NULL, kind text NOT NULL, details jsonb NOT NULL, address inet,
  at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE clicks_q1 PARTITION OF clicks FOR VALUES FROM ('2026-01-01Z') TO ('2026-04-01Z');
CREATE TABLE clicks_q2 PARTITION OF clicks FOR VALUES FROM ('2026-04-01Z') TO ('2026-07-01Z');
CREATE TABLE clicks_q3 PARTITION OF clicks FOR VALUES FROM ('2026-07-01Z') TO ('2026-10-01Z');
CREATE TABLE clicks_q4 PARTITION OF clicks FOR VALUES FROM ('2026-10-01Z') TO ('2027-01-01Z');
CREATE TABLE ledger (id int NOT NULL, account int, amount int, remark char(84)) WITH (fillfactor = 90);

INSERT INTO learners (handle, email, full_name, preferences, balance, active, joined)
  SELECT gen_random_uuid(), 'learner' || n || '@school' || n % 89 || '.example',
         pg_temp.cut(p.content, 1 + (n * 7919::bigint % 30000)::int, 10 + n % 18),
         jsonb_build_object('theme', (ARRAY['dark', 'light', 'auto'])[1 + n % 3], 'language', (ARRAY['en', 'de', 'it'])[1 + n % 3],
                            'limits', jsonb_build_object('daily', n % 900, 'burst', (random() * 100)::int), 'beta', n % 5 = 0),
         round((random() * 10000)::numeric, 2), n % 11 <> 0, timestamptz '2024-01-01Z' + n * interval '41 s'
    FROM generate_series(1, 16000 * :scale) n JOIN page p ON p.number = 1 + n % (150 * :scale);

INSERT INTO threads (learner_id, title, labels, facts, opened, closed)
  SELECT 1 + floor(16000 * :scale * random())::bigint, pg_temp.cut(p.content, 1 + (n * 7919::bigint % 30000)::int, 20 + n % 60),
         ARRAY['t' || n % 50, 'k' || n % 7],
         jsonb_build_object('model', 'm-' || n % 9, 'source', (ARRAY['web', 'api', 'mobile'])[1 + n % 3], 'pinned', n % 20 = 0,
                            'cost', round(random()::numeric, 6)),
         timestamptz '2026-01-01Z' + n * interval '5 s', CASE WHEN n % 4 = 0 THEN NULL ELSE now() END
    FROM generate_series(1, 30000 * :scale) n JOIN page p ON p.number = 1 + n % (150 * :scale);

INSERT INTO posts (thread_id, speaker, body, facts, tokens, score, posted)
  SELECT 1 + floor(30000 * :scale * random())::bigint, (enum_range(NULL::speaker))[1 + (n * 31) % 4], body,
         CASE WHEN n % 3 = 0 THEN NULL ELSE jsonb_build_object('milliseconds', (random() * 9000)::int, 'stop', 'end',
              'usage', jsonb_build_object('in', (random() * 8000)::int, 'out', (random() * 2000)::int), 'trace', gen_random_uuid()) END,
         length(body) / 4, random(), timestamptz '2026-01-01Z' + n * interval '1.7 s'
    FROM (SELECT n, pg_temp.cut(p.content, 1 + floor(random() * 28000)::int,
                           CASE WHEN n % 17 = 0 THEN 3000 + (n * 131::bigint % 6000)::int ELSE 80 + (n * 131::bigint % 1200)::int END)
            FROM generate_series(1, 90000 * :scale) n
            JOIN page p ON p.number = 1 + (n * 37::bigint) % (150 * :scale)
          OFFSET 0) AS cut (n, body);  -- each text is cut once

INSERT INTO files (post_id, name, checksum, body)
  SELECT 1 + (n * 287::bigint) % (90000 * :scale), 'file-' || n || '.bin', md5(n::text),
         (SELECT string_agg(uuid_send(gen_random_uuid()), '') FROM generate_series(1, 128 + (n * 37) % 768))
    FROM generate_series(1, 2400 * :scale) n;

INSERT INTO clicks
  SELECT n, 1 + floor(16000 * :scale * random())::bigint, (ARRAY['login', 'view', 'answer', 'buy', 'logout'])[1 + n % 5],
         jsonb_build_object('path', '/p/' || (random() * 5000)::int, 'ms', (random() * 900)::int, 'ok', n % 13 <> 0),
         ('10.' || n % 256 || '.' || n / 256 % 256 || '.7')::inet,
         timestamptz '2026-01-01Z' + (n::float8 / (120000 * :scale)) * interval '364 days'
    FROM generate_series(1, 120000 * :scale - 1) n;

INSERT INTO ledger SELECT n, 1 + (n - 1) / 100000, 0, '' FROM generate_series(1, 200000 * :scale) n;

ALTER TABLE ledger ADD PRIMARY KEY (id);
ALTER TABLE threads ADD FOREIGN KEY (learner_id) REFERENCES learners;
ALTER TABLE posts ADD FOREIGN KEY (thread_id) REFERENCES threads;
ALTER TABLE files ADD FOREIGN KEY (post_id) REFERENCES posts;
ALTER TABLE clicks ADD PRIMARY KEY (id, at);
CREATE INDEX ON learners (joined);
CREATE INDEX ON threads (learner_id, opened);
CREATE INDEX ON threads USING gin (labels);
CREATE INDEX ON posts (thread_id, posted);
CREATE INDEX ON posts (posted) WHERE speaker = 'tutor';
CREATE INDEX ON files (post_id);
CREATE INDEX ON files (checksum);
CREATE INDEX ON clicks (learner_id, at);
CREATE VIEW activity AS
  SELECT l.id, l.email, count(t.id) AS threads FROM learners l LEFT JOIN threads t ON t.learner_id = l.id GROUP BY l.id;
DROP TABLE page;
VACUUM ANALYZE;
CHECKPOINT;
