INSERT INTO bookings (device_id, user_id, during, remark)
VALUES (1 + floor(random() * 699)::int, 1 + floor(random() * 1499)::int, tstzrange(now(), now() + interval '1 hour'), 'walk-in')
