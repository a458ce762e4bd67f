-- Ends the time of a pause that waits for a probe, so that the next send is it. The rest stays as it is.
-- KEYS: pauses
local field, since = ARGV[1], tonumber(ARGV[2])

local now = millis()
local p = parse_pause(redis.call('HGET', KEYS[1], field), now)
if not p or p.by ~= 'probe' or p.since ~= since or p.till <= now then -- it ended, or was begun anew meanwhile
  return {'no'}
end
p.till = now
redis.call('HSET', KEYS[1], field, pause_text(p))
return {'yes'}
