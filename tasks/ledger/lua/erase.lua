-- Erases what a user allowed, and marks when: what was enqueued before is not sent any more.
-- KEYS: consent, form ids
local now = millis()
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'x', now)
return tostring(now)
