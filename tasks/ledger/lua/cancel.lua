-- Withdraws a notification, unless an attempt is in flight or an outcome stands.
-- KEYS: record
local kind, created, open_ttl = ARGV[1], ARGV[2], ARGV[3]

local now = millis()
local r = load(KEYS[1]) or new(kind, created)

if r.state == 'c' or r.state == 'C' then
  return {1, r.state}
end
if final(r) or (r.state == 'S' and r.lease > now) then
  return {0, r.state}
end
-- Lower case until its task was met: the queue may be long, so the record stays as long as an open one.
local canceled = 1
if r.state == 'S' then
  r.unknowns = r.unknowns + 1
end
if r.unknowns > 0 then -- it may have reached the user: stop it, but claim nothing
  close(r, 'u')
  canceled = 0
else
  close(r, 'c')
end
r.reason = 'canceled'
save(KEYS[1], r, now, open_ttl)
return {canceled, r.state}
