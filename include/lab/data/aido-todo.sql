-- AIDO TODO: small, about 12 MB: tasks of people and what their actors remember.
CREATE TABLE users (id uuid PRIMARY KEY, name text NOT NULL, time_zone text NOT NULL DEFAULT 'UTC', avatar bytea);
INSERT INTO users SELECT md5('todo' || i)::uuid, 'Person ' || i, (ARRAY['UTC', 'Europe/Berlin', 'Asia/Kolkata'])[1 + i % 3], CASE WHEN i % 10 = 0 THEN decode(repeat(md5(i::text), 20), 'hex') END
FROM generate_series(1, 1200) i;

CREATE TYPE task_state AS ENUM ('open', 'doing', 'done', 'won''t do');
CREATE TYPE reminder AS (at time, days_before int);
CREATE TABLE tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    parent_id bigint REFERENCES tasks,
    title text COLLATE "C" NOT NULL,
    state task_state NOT NULL DEFAULT 'open',
    "order" numeric NOT NULL,
    labels text[] NOT NULL DEFAULT '{}',
    remind reminder,
    due date
);
INSERT INTO tasks (user_id, parent_id, title, state, "order", labels, remind, due)
SELECT md5('todo' || (1 + i % 1200))::uuid, CASE WHEN i > 100 AND i % 6 = 0 THEN i / 2 END, t, (enum_range(NULL::task_state))[1 + i % 4], i * 1.5,
       ARRAY['home', 'label ' || i % 9], CASE WHEN i % 3 = 0 THEN ROW('08:30', i % 5)::reminder END, current_date + i % 60
FROM generate_series(1, 30000) i JOIN phrase p ON p.number = 1 + i % 4000;
CREATE INDEX open_tasks ON tasks (user_id, due) WHERE state = 'open';

CREATE TABLE actor_state (actor text, key text, value jsonb NOT NULL, etag uuid NOT NULL, PRIMARY KEY (actor, key));
INSERT INTO actor_state SELECT 'TaskActor||' || i, 'state', jsonb_build_object('version', i % 7, 'timers', jsonb_build_array(i, i + 1)), md5(i::text)::uuid
FROM generate_series(1, 9000) i;

CREATE TABLE "History" ("Was Task" bigint, "Änderung" text, at timestamp without time zone) WITH (fillfactor = 90);
INSERT INTO "History" SELECT i, t, localtimestamp - i * interval '3 minutes' FROM generate_series(1, 20000) i JOIN phrase p ON p.number = 1 + i % 4000;
