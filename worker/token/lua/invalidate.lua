-- Marks a token as refused if it is still the stored one and WeChat has not confirmed it since.
-- KEYS: token
local confirmed, digest = tonumber(ARGV[1]), ARGV[2]

local t = load(KEYS[1], TOKEN)
if t.value == '' or t.confirmed ~= confirmed or t.digest ~= digest then
  return 0
end
if t.refused == 0 then
  redis.call('HSET', KEYS[1], 'refused', string.format('%.0f', millis()))
end
return 1
