-- Lets one attempt call WeChat, or says why not.
-- KEYS: record, turn, consent, form ids
local attempt, lease = ARGV[1], tonumber(ARGV[2])
local kind, created = ARGV[3], ARGV[4]
local send_at, not_after = tonumber(ARGV[5]), tonumber(ARGV[6])
local drop = ARGV[7] == '1'
local open_ttl, end_ttl = ARGV[8], ARGV[9]
local need, template, template_type, form_id = ARGV[10], ARGV[11], tonumber(ARGV[12]), ARGV[13]
local grace_end = tonumber(ARGV[14])
local harmless = ARGV[15] == '1' -- whatever the call did, it sent nothing
local late_reason, forgotten = ARGV[16], ARGV[17] == '1'

local now = millis()
local r = load(KEYS[1]) or new(kind, created)
local died = 0 -- an earlier attempt ended with its worker, and this admission is the first to see it
local uncovered = 0 -- nothing covers the attempt, and it may call all the same

local function answer(verdict, wait, changed)
  local form = ''
  if need == 'form' then
    local _, rest = held(r)
    form = string.match(rest, '^%d*,(.*)$') or ''
  end
  return {verdict, r.state, r.attempts, r.unknowns, wait, changed, r.reason, died, form, uncovered}
end

local function finish(state, reason)
  let_go(r, KEYS[3], KEYS[4], template, now)
  close(r, state)
  if reason then
    r.reason = reason
  end
  save(KEYS[1], r, now, end_ttl)
  return answer('ended', 0, 1)
end

if r.state == 'c' then
  return finish('C')
elseif r.state == 'u' then
  return finish('U')
end
if r.attempt == attempt and r.state ~= 'S' then -- delayed on its way, and overtaken by its own settlement: nobody waits for the answer
  return answer('busy', 1000, 0)
end
if r.state == 'D' then
  reopen(r, now)
elseif final(r) then
  return answer('ended', 0, 0)
end

if r.state == 'S' then
  if r.attempt == attempt then -- our own command, repeated
    return answer('go', 0, 0)
  end
  if r.lease > now then
    return answer('busy', r.lease - now, 0)
  end
  died = 1
  if not harmless then
    r.unknowns = r.unknowns + 1
    if drop or r.unknowns > 1 then
      return finish('U', 'worker_died')
    end
  end
  close(r, 'R')
  r.reason, r.due = 'worker_died', 0
  save(KEYS[1], r, now, open_ttl)
end

local consent = redis.call('HMGET', KEYS[3], 'x', 's' .. template)
if forgotten or erased_at(r, consent[1]) then
  return finish(r.unknowns > 0 and 'U' or 'C', 'forgotten')
end
if send_at > now then
  return answer('wait', send_at - now, 0)
end
-- Brought back too early, by a worker whose clock is ahead. asynq's times are whole seconds.
if r.state == 'R' and r.due > now + 1000 then
  return answer('wait', r.due - now, 0)
end
if not_after > 0 and now > not_after then
  if r.unknowns > 0 then
    return finish('U')
  end
  return finish('E', late_reason)
end

-- Whoever has the turn may give back what it holds, so nobody counts before.
if not redis.call('SET', KEYS[2], attempt, 'NX', 'PX', lease) and redis.call('GET', KEYS[2]) ~= attempt then
  return answer('turn', math.max(redis.call('PTTL', KEYS[2]), 1), 0)
end

local letter = held(r)
if letter ~= '' and letter ~= 'N' and not refused_since(r, consent[2]) then -- a lost attempt left its hold to this one
  keep_hold(r, KEYS[3], template)
else
  local covered = true
  if need == 'form' then
    covered = hold_form_id(r, KEYS[3], KEYS[4], form_id, now)
  elseif need ~= '' then
    covered = hold_subscription(r, KEYS[3], template, consent[2], template_type, now)
  end
  if not covered and need == 'observe' then
    uncovered = 1
  elseif not covered then
    redis.call('DEL', KEYS[2])
    if now < grace_end then
      return answer('credit', grace_end - now, 0)
    end
    if r.unknowns > 0 then
      return finish('U')
    end
    return finish('N', need == 'form' and 'no_form_id' or 'no_credit')
  end
end

r.state, r.attempt, r.lease, r.attempts, r.due = 'S', attempt, now + lease, r.attempts + 1, 0
save(KEYS[1], r, now, open_ttl)
return answer('go', 0, 0)
