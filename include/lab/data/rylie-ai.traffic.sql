INSERT INTO messages (conversation_id, role, content, tokens)
SELECT id, 'user', format('What time is it? It is %s.', now()), 9 FROM conversations ORDER BY id DESC LIMIT 1
