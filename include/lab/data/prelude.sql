-- Run before each system's data: the same seed, so the same rows, in every lab; and 4,000 phrases to write texts with.
SET client_min_messages = warning;
SELECT setseed(0.42);
CREATE TEMPORARY TABLE phrase AS
SELECT i AS number, format('%s %s %s %s %s.', upper(left(a.w, 1)) || substr(a.w, 2), b.w, c.w, d.w, i) AS t
FROM (SELECT i, 1 + floor(random() * 12)::int ai, 1 + floor(random() * 12)::int bi,
             1 + floor(random() * 12)::int ci, 1 + floor(random() * 12)::int di
      FROM generate_series(1, 4000) i) x
JOIN unnest(ARRAY['the model', 'a student', 'this lesson', 'our team', 'the assistant', 'every run', 'a reviewer',
                  'the pipeline', 'my laptop', 'the dataset', 'someone', 'the scheduler']) WITH ORDINALITY a(w, n) ON a.n = ai
JOIN unnest(ARRAY['explains', 'asks about', 'finishes', 'forgets', 'compares', 'repeats', 'measures', 'writes down',
                  'translates', 'postpones', 'checks', 'improves']) WITH ORDINALITY b(w, n) ON b.n = bi
JOIN unnest(ARRAY['a long proof of', 'two errors in', 'the notes on', 'an answer to', 'the cost of', 'a picture of',
                  'three examples for', 'the limits of', 'a summary of', 'the plan for', 'a question about',
                  'the history of']) WITH ORDINALITY c(w, n) ON c.n = ci
JOIN unnest(ARRAY['gradient descent', 'the French verbs', 'naïve Bayes', 'the solar panel', 'prüfbare Backups',
                  'linear algebra', 'the birthday party', 'числа Фибоначчи', 'memory leaks', 'the 3D printer', '日本語',
                  'a rainy weekend 🌧']) WITH ORDINALITY d(w, n) ON d.n = di;
CREATE UNIQUE INDEX ON phrase (number);
ANALYZE phrase;
