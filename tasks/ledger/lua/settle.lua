-- Records what became of an attempt.
-- KEYS: record, turn, consent, form ids, and with a msgid, or another name that a receipt has for it, its key
local attempt, admitted = ARGV[1], ARGV[2] == '1'
local verb, outcome = ARGV[3], ARGV[4]
local msgid, errcode, reason, detail = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local kind, created = ARGV[9], ARGV[10]
local drop = ARGV[11] == '1'
local horizon_base, horizon = tonumber(ARGV[12]), tonumber(ARGV[13])
local unlisted_limit = tonumber(ARGV[14])
local delay = tonumber(ARGV[15])
local open_ttl, end_ttl, dead_ttl = ARGV[16], ARGV[17], ARGV[18]
local template, form_id = ARGV[19], ARGV[20]
local revoked, discarded = ARGV[21] == '1', ARGV[22] == '1'
local name, msgid_ttl = ARGV[23], ARGV[24]
local limit_reason = ARGV[25]
-- Of what was settled before: which attempt that was, and when; else 0.
local again, again_at = tonumber(ARGV[26]), tonumber(ARGV[27])

local now = millis()
local r = load(KEYS[1])
local found = r ~= nil
if not found then
  r = new(kind, created)
end
local wrote = 0

local function answer(applied, late)
  return {applied, late, r.state, r.attempts, r.unknowns, r.reason, wrote, r.created + r.age}
end

local function write()
  wrote = 1
  local ttl = open_ttl
  if r.state == 'D' then
    ttl = dead_ttl
  elseif final(r) then
    ttl = end_ttl
  end
  -- What was settled before is as old as it was: what another attempt settled after it may come after it here, too.
  save(KEYS[1], r, again_at > 0 and again_at or now, ttl)
end

-- index lets a receipt find the notification, or takes the receipt that came before.
local function index()
  if not KEYS[5] or redis.call('SET', KEYS[5], name, 'PX', msgid_ttl, 'NX') then
    return
  end
  local state, code, text = string.match(redis.call('GET', KEYS[5]), '^!(%u);([^;]*);(.*)$')
  if state then
    redis.call('SET', KEYS[5], name, 'PX', msgid_ttl)
    receive(r, state, code, text)
  end
end

-- hand deals with what the attempt held, as the record stands after it.
local function hand()
  if accepted(r) or revoked then
    if revoked then
      revoke(r, KEYS[3], template, now)
    end
    unhold(r)
  elseif discarded then
    discard(r, KEYS[3], KEYS[4], form_id, now)
  elseif final(r) then
    let_go(r, KEYS[3], KEYS[4], template, now)
  elseif r.unknowns == 0 then -- after a lost answer it stays with the notification
    give_back(r, KEYS[3], KEYS[4], template, now)
  end
  if final(r) then
    r.hold = ''
  end
end

local function note()
  r.errcode, r.reason, r.detail = errcode, reason, detail
end

if again_at > 0 and not found and erased(r, KEYS[3]) then -- the record may be gone for good
  return answer(0, 0)
end

if admitted and redis.call('GET', KEYS[2]) == attempt then
  redis.call('DEL', KEYS[2])
end

if found and not admitted then
  if r.state == 'c' or r.state == 'u' then -- its task was met
    close(r, string.upper(r.state))
    hand()
    write()
    return answer(1, 0)
  end
  if r.state == 'D' and r.attempt ~= attempt then -- its task came, and cannot be admitted yet
    reopen(r, now)
  end
end

-- admission_lost says of what was settled before that its admission is lost as well: an earlier attempt's end is what the
-- record says. If it is younger, its task came back since, as that of a dead letter does.
local function admission_lost()
  return (verb == 'end' or verb == 'unknown') and r.state == 'R' and r.attempts < again and r.created + r.age <= again_at
end

local ours = not found -- Redis lost the record: what we know is recorded all the same
if found and admitted then
  ours = r.state == 'S' and r.attempt == attempt or admission_lost()
elseif found then
  ours = r.state == 'R' and r.attempt ~= attempt
end

if not ours then
  if r.attempt == attempt and r.state ~= 'S' then -- our own command, repeated
    return answer(1, 0)
  end
  if verb == 'end' and outcome == 'A' and accepted(r) and r.msgid == msgid then
    return answer(1, 0)
  end
  if verb == 'end' and r.state == outcome and r.msgid == msgid and r.errcode == errcode then
    return answer(1, 0)
  end
  if verb == 'end' and outcome == 'A' and not accepted(r) then -- late, but a fact
    close(r, 'A')
    r.msgid = msgid
    note()
    hand()
    index()
    write()
    return answer(1, 1)
  end
  return answer(0, 1)
end

if verb == 'release' then -- admitted, but no request was written
  r.attempts = math.max(0, r.attempts - 1)
  r.state, r.attempt, r.lease = 'R', attempt, 0 -- it remembers the attempt, whose admission may still be on its way
  hand()
  write()
  return answer(1, 0)
end

if verb == 'hold' then -- not the message's own failure: no attempt of it
  if admitted and found then
    r.attempts = math.max(0, r.attempts - 1)
  end
elseif not admitted or not found then
  r.attempts = r.attempts + 1
end
if verb ~= 'hold' then
  r.attempts = math.max(r.attempts, again)
end
note()

if verb == 'end' then
  close(r, outcome)
  if outcome == 'D' then
    r.attempt = attempt -- its admission may still be on its way, and is no replay
  end
  r.msgid = msgid
  hand()
  if outcome == 'A' then
    index()
  end
  write()
  return answer(1, 0)
end

-- What is not over waits as retrying. It remembers its attempt, as what ends here does, so that a repeated command is
-- recognised.
r.state, r.lease, r.due = 'R', 0, now + delay
if verb == 'unknown' then
  r.unknowns = r.unknowns + 1
  if drop or r.unknowns > 1 then
    close(r, 'U')
  end
end
if unlisted_limit > 0 then
  r.unlisted = r.unlisted + 1
  if r.unlisted >= unlisted_limit then
    close(r, 'D')
    r.reason = limit_reason
  end
end
if r.state == 'R' and verb ~= 'hold' and horizon > 0 and now > math.max(horizon_base, r.base) + horizon then
  close(r, 'D')
  r.reason = 'horizon'
end
r.attempt = attempt
hand()
write()
return answer(1, 0)
