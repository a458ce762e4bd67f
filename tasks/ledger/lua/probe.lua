-- Lets one send find out whether a pause that has ended is over, or gives that task back.
-- KEYS: pauses
local field, lease = ARGV[1], tonumber(ARGV[2]) -- 0: give it back

local now = millis()
local p = parse_pause(redis.call('HGET', KEYS[1], field), now)
if not p or p.by ~= 'probe' or p.till > now then
  return {'no'}
end
if lease > 0 and p.probe > now and p.probe <= now + lease then -- somebody is at it; a later time was left by a clock that went back
  return {'no'}
end
p.probe = lease > 0 and now + lease or 0
redis.call('HSET', KEYS[1], field, pause_text(p))
return {'yes'}
