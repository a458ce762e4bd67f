-- What every script shares: the clock and the record's text form (see doc.go).

-- One capture for each field, in doc.go's order. Trailing fields may be missing.
local PATTERN = '^([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*);?([^;]*)'

local function millis()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function new(kind, created)
  return {
    state = 'R', kind = kind, attempts = 0, unknowns = 0, unlisted = 0, attempt = '', lease = 0, created = tonumber(created),
    age = 0, base = 0, msgid = '', errcode = '', reason = '', detail = '', due = 0,
    hold = '',
  }
end

local function load(key)
  local text = redis.call('GET', key)
  if not text then
    return nil
  end
  local state, kind, attempts, created, age, msgid, unknowns, unlisted, attempt, lease, base, errcode, reason, detail, due, hold =
    string.match(text, PATTERN)
  return {
    state = state, kind = kind, attempts = tonumber(attempts) or 0, unknowns = tonumber(unknowns) or 0,
    unlisted = tonumber(unlisted) or 0, attempt = attempt, lease = tonumber(lease) or 0, created = tonumber(created) or 0,
    age = tonumber(age) or 0, base = tonumber(base) or 0, msgid = msgid, errcode = errcode, reason = reason, detail = detail,
    due = tonumber(due) or 0, hold = hold,
  }
end

-- sparse leaves zero out. Lua writes integers below 10^14 without an exponent, which milliseconds are until the year 5138.
local function sparse(n)
  return n == 0 and '' or n
end

-- save writes the record. Without a ttl it keeps the one it has.
local function save(key, r, now, ttl)
  r.age = math.max(0, now - r.created)
  local text = table.concat({
    r.state, r.kind, sparse(r.attempts), sparse(r.created), sparse(r.age), r.msgid, sparse(r.unknowns), sparse(r.unlisted),
    r.attempt, sparse(r.lease), sparse(r.base), r.errcode, r.reason, r.detail, sparse(r.due),
    r.hold,
  }, ';')
  text = string.gsub(text, ';+$', '')
  if ttl then
    redis.call('SET', key, text, 'PX', ttl)
  else
    redis.call('SET', key, text, 'KEEPTTL')
  end
end

local function final(r)
  return r.state ~= 'S' and r.state ~= 'R'
end

-- accepted: also with its receipt.
local function accepted(r)
  return r.state == 'A' or r.state == 'V' or r.state == 'X'
end

-- receive notes what WeChat said about the delivery of an accepted notification.
local function receive(r, state, errcode, detail)
  r.state = state
  if state == 'X' then
    r.errcode, r.reason, r.detail = errcode, 'undelivered', detail
  end
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
