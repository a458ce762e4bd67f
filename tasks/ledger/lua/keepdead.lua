-- Keeps a dead letter, and says when on Redis's clock.
-- KEYS: letter
local text, ttl = ARGV[1], ARGV[2]

local now = millis()
redis.call('SET', KEYS[1], now .. ';' .. text, 'PX', ttl)
return tostring(now)
