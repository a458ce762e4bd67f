-- Lends the next n slots of an app, or says how long none can be had. Times are in microseconds on Redis's clock.
-- KEYS: slots
local n, interval = tonumber(ARGV[1]), tonumber(ARGV[2]) -- the interval may have a fraction
local lead = tonumber(ARGV[3])    -- the first slot is at least this far ahead: the answer needs time to be of use
local horizon = tonumber(ARGV[4]) -- nothing is lent while the first free slot is further ahead than this

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local s = redis.call('HMGET', KEYS[1], 'free', 'at')
local free, at = tonumber(s[1]) or 0, tonumber(s[2]) or 0

if now < at then -- the clock went back: what was lent is as far ahead as it was
  free = now + free - at
end
if free - now > 2 * horizon then -- no loan of this rate leads so far: the rate was lower, or the key is damaged
  free = now
end

local start = math.ceil(math.max(free, now + lead))
local wait = free - now - horizon
if wait > 0 then
  n = 0
else
  -- Rounded up, so that two loans are never closer than an interval; by itself, as a time has no room for fractions.
  free, wait = start + math.ceil(n * interval), 0
end
-- Saved without a loan too: at has to follow a clock that went back.
redis.call('HSET', KEYS[1], 'free', string.format('%.0f', free), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(0, free - now) / 1000 + 60000))
return {now, n, start, math.ceil(wait)}
