-- Writes a pause anew that began in the future, because Redis's clock went back since.
-- KEYS: pauses
local p = parse_pause(redis.call('HGET', KEYS[1], ARGV[1]), millis())
if p then
  redis.call('HSET', KEYS[1], ARGV[1], pause_text(p))
end
return {}
