INSERT INTO inference_requests (tenant_id, model_id, client, input_tokens, output_tokens, latency, requested_at)
VALUES (1 + floor(random() * 400)::int, 1 + floor(random() * 120)::int, '10.9.9.9', 100, floor(random() * 900)::int, random(), now())
