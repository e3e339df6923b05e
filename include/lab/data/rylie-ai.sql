-- Rylie AI: an assistant that people talk to. About 110 MB, most of it messages.
CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE,
    plan text NOT NULL CHECK (plan IN ('free', 'plus', 'team')),
    settings json NOT NULL,
    created_at timestamptz NOT NULL
);
INSERT INTO users
SELECT md5('user' || i)::uuid, format('person%s@rylie.example', i), (ARRAY['free', 'plus', 'team'])[1 + i % 3],
       json_build_object('voice', i % 5, 'memory', i % 2 = 0), now() - random() * interval '700 days'
FROM generate_series(1, 6000) i;

CREATE TABLE conversations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    title text NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL
);
INSERT INTO conversations (user_id, title, tags, started_at)
SELECT md5('user' || (1 + floor(random() * 6000)::int))::uuid, t, ARRAY['topic-' || i % 40, 'lang-' || i % 3], now() - random() * interval '500 days'
FROM generate_series(1, 42000) i JOIN phrase p ON p.number = 1 + i % 4000;

CREATE SEQUENCE message_number AS bigint INCREMENT 3 START 1000 CACHE 5;
CREATE TABLE messages (
    id bigint PRIMARY KEY DEFAULT nextval('message_number'),
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    role text NOT NULL,
    content text NOT NULL,
    tokens int NOT NULL,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER SEQUENCE message_number OWNED BY messages.id;
INSERT INTO messages (conversation_id, role, content, tokens, metadata, created_at)
SELECT c, (ARRAY['user', 'assistant'])[1 + n % 2], p.t || ' ' || q.t || ' ' || md5(n::text), 10 + n % 300,
       CASE WHEN n % 3 = 0 THEN jsonb_build_object('model', 'rylie-' || n % 4, 'latency_ms', n % 900) END, now() - random() * interval '500 days'
FROM (SELECT n, 1 + floor(random() * 42000)::int c, 1 + floor(random() * 4000)::int a, 1 + floor(random() * 4000)::int b
      FROM generate_series(1, 330000) n) x
JOIN phrase p ON p.number = a JOIN phrase q ON q.number = b;
CREATE INDEX ON messages (conversation_id);

CREATE TABLE embeddings (
    message_id bigint PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
    model text NOT NULL,
    vector real[] NOT NULL
);
INSERT INTO embeddings
SELECT 1000 + 3 * i, 'embed-small', (SELECT array_agg(sin(i * k)::real) FROM generate_series(1, 48) k) FROM generate_series(1, 24000) i;

CREATE TABLE attachments (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id bigint NOT NULL REFERENCES messages ON DELETE CASCADE,
    file_name text NOT NULL,
    media_type text NOT NULL,
    content bytea NOT NULL,
    size int GENERATED ALWAYS AS (octet_length(content)) STORED
);
INSERT INTO attachments (message_id, file_name, media_type, content)
SELECT 1000 + 30 * i, format('notes %s (final).txt', i), 'text/plain', decode((SELECT string_agg(md5((i * 100 + k)::text), '') FROM generate_series(1, 250) k), 'hex')
FROM generate_series(1, 1500) i;

CREATE SCHEMA analytics;
CREATE TABLE analytics.daily_usage (day date, plan text, conversations int, tokens bigint, PRIMARY KEY (day, plan));
INSERT INTO analytics.daily_usage
SELECT current_date - d, p, (random() * 4000)::int, (random() * 1e7)::bigint FROM generate_series(0, 700) d, unnest(ARRAY['free', 'plus', 'team']) p;
CREATE MATERIALIZED VIEW analytics.heavy_users AS
SELECT user_id, count(*) AS conversations FROM conversations GROUP BY 1 HAVING count(*) > 10;
