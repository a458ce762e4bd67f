-- Records the end of a notification whose task was archived by somebody else: dead, unless something else stands.
-- KEYS: record, consent, form ids
local kind, created, template = ARGV[1], ARGV[2], ARGV[3]
local drop, harmless = ARGV[4] == '1', ARGV[5] == '1'
local end_ttl, dead_ttl = ARGV[6], ARGV[7]

local now = millis()
local r = load(KEYS[1]) or new(kind, created)

local function answer()
  return {r.state, r.attempts, r.errcode, r.reason, r.detail}
end

local function finish(state, reason, ttl)
  let_go(r, KEYS[2], KEYS[3], template, now)
  close(r, state)
  if reason then
    r.reason = reason
  end
  save(KEYS[1], r, now, ttl)
  return answer()
end

if r.state == 'c' or r.state == 'u' then -- its task was met
  return finish(string.upper(r.state), nil, end_ttl)
end
if final(r) or (r.state == 'S' and r.lease > now) then
  return answer()
end
if r.state == 'S' and not harmless then -- that attempt died, and nobody knows what it did
  r.unknowns = r.unknowns + 1
  if drop or r.unknowns > 1 then
    return finish('U', 'worker_died', end_ttl)
  end
end
if erased(r, KEYS[2]) then
  return finish(r.unknowns > 0 and 'U' or 'C', 'forgotten', end_ttl)
end
return finish('D', 'archived', dead_ttl)
