WITH someone AS (SELECT 1 + floor(random() * 12000)::int AS id),
     seen AS (INSERT INTO live_sessions SELECT id, now() FROM someone ON CONFLICT (user_id) DO UPDATE SET seen_at = now())
INSERT INTO user_progress (user_id, lesson_id, done, time_spent, answers)
SELECT id, 1 + floor(random() * 4800)::int, floor(random() * 100)::int, interval '5 minutes', '{"live": true}' FROM someone
