-- What every script shares: Redis's clock, the records, and when a token may be used (see doc.go).

local MARGIN = 10000  -- ms: a token is used until this long before its end
local WINDOW = 300000 -- ms: from this long before its end on a successor is asked for
local RECENT = 30000  -- ms: a token checked this recently needs no scheduled renewal
local MINUTE = 60000
local KEEP = 604800000 -- ms: a week, so that the order of renewals outlives a token by far

local TOKEN = {'value', 'digest', 'generation', 'confirmed', 'turn', 'life', 'fetched', 'checked', 'expires', 'refused'}
local FAILURE = {'class', 'code', 'detail', 'at', 'count', 'resume', 'by'}
local BUDGET = {'minute', 'used', 'asked'}
local TEXT = {value = true, digest = true, class = true, detail = true, by = true}

local function millis()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function load(key, fields)
  local values, r = redis.call('HMGET', key, unpack(fields)), {}
  for i, name in ipairs(fields) do
    local v = values[i] or ''
    r[name] = TEXT[name] and v or tonumber(v) or 0
  end
  return r
end

local function save(key, fields, r, ttl)
  local flat = {}
  for _, name in ipairs(fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = TEXT[name] and r[name] or string.format('%.0f', r[name])
  end
  redis.call('HSET', key, unpack(flat))
  redis.call('PEXPIRE', key, ttl)
end

-- usable is how many milliseconds from now on a token may be used. The margin shrinks with the life, so that no
-- token, however short, is used up on arrival.
local function usable(t, now)
  if t.value == '' or t.refused > 0 then
    return 0
  end
  return math.max(0, math.floor(t.expires - math.min(MARGIN, t.life / 10) - now))
end

-- window is how long before its end a token's successor is asked for.
local function window(t)
  return math.floor(math.min(WINDOW, t.life / 4))
end

local function release(lock, owner)
  if redis.call('GET', lock) == owner then
    redis.call('DEL', lock)
  end
end

-- snapshot is what every script answers. wait is in milliseconds and belongs to the verdict.
local function snapshot(verdict, now, t, f, lock, wait)
  return {
    verdict, now, wait or 0, redis.call('EXISTS', lock),
    t.value, t.generation, t.confirmed, t.turn, t.fetched, t.checked, t.expires, t.refused,
    usable(t, now), window(t),
    f.class, f.code, f.detail, f.at, f.resume,
  }
end
