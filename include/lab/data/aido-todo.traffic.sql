INSERT INTO tasks (user_id, title, "order", labels)
SELECT id, format('Water the plants (%s)', now()), 1, '{live}' FROM users ORDER BY id LIMIT 1
