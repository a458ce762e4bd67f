-- Ends a pause and notes when.
-- KEYS: pauses
local field, resumed, since = ARGV[1], ARGV[2], tonumber(ARGV[3]) -- since 0: whichever it is

local now = millis()
local p = parse_pause(redis.call('HGET', KEYS[1], field), now)
if not p then
  return {'none', ''}
end
if since > 0 and p.since ~= since then -- it was begun anew meanwhile
  return {'changed', ''}
end
redis.call('HDEL', KEYS[1], field)
redis.call('HSET', KEYS[1], resumed, now)
return {'ended', p.lanes}
