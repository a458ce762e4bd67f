-- What every script shares: the clock and the record's text form (see doc.go).

local FIELDS = {'state', 'kind', 'attempts', 'unknowns', 'unlisted', 'attempt', 'lease', 'created', 'age', 'base',
                'msgid', 'errcode', 'reason', 'detail', 'due'}
local NUMBERS = {attempts = true, unknowns = true, unlisted = true, lease = true, created = true, age = true, base = true, due = true}

local function millis()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function new(kind, created)
  local r = {}
  for _, name in ipairs(FIELDS) do
    r[name] = NUMBERS[name] and 0 or ''
  end
  r.state, r.kind, r.created = 'R', kind, tonumber(created)
  return r
end

local function load(key)
  local text = redis.call('GET', key)
  if not text then
    return nil
  end
  local r, from = new('', 0), 1
  for _, name in ipairs(FIELDS) do
    local at = string.find(text, ';', from, true)
    local value = string.sub(text, from, (at or 0) - 1)
    if NUMBERS[name] then
      r[name] = tonumber(value) or 0
    else
      r[name] = value
    end
    if not at then
      break
    end
    from = at + 1
  end
  return r
end

local function save(key, r, now, ttl)
  r.age = math.max(0, now - r.created)
  local out, last = {}, 0
  for i, name in ipairs(FIELDS) do
    local value = r[name]
    if NUMBERS[name] then
      value = value == 0 and '' or string.format('%.0f', value)
    end
    out[i] = value
    if value ~= '' then
      last = i
    end
  end
  redis.call('SET', key, table.concat(out, ';', 1, last), 'PX', ttl)
end

local function final(r)
  return r.state ~= 'S' and r.state ~= 'R'
end

-- close ends the attempt in flight, if any, and sets the state.
local function close(r, state)
  r.state, r.attempt, r.lease, r.due = state, '', 0, 0
end

-- RECOVERY is how long asynq may take to bring a dead worker's task back, with room to spare.
local RECOVERY = 300000

-- reopen takes a dead record up again, because its task came. Soon after its death that may be no replay but a lost
-- acknowledgement: then one more attempt does not begin another horizon.
local function reopen(r, now)
  if now - r.created - r.age > RECOVERY then
    r.base = now
  end
  close(r, 'R')
  r.attempts, r.unlisted = 0, 0
end
