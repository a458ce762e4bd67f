-- Withdraws a notification, unless an attempt is in flight or an outcome stands.
-- KEYS: record
local kind, created, open_ttl, end_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local now = millis()
local r = load(KEYS[1]) or new(kind, created)

if r.state == 'c' or r.state == 'C' then
  return {1, r.state}
end
if final(r) or (r.state == 'S' and r.lease > now) then
  return {0, r.state}
end
if r.state == 'S' or r.unknowns > 0 then -- it may have reached the user: stop it, but claim nothing
  close(r, 'U')
  r.reason = 'canceled'
  save(KEYS[1], r, now, end_ttl)
  return {0, r.state}
end
close(r, 'c') -- until its task was met; the queue may be long, so it stays as long as an open one
r.reason = 'canceled'
save(KEYS[1], r, now, open_ttl)
return {1, r.state}
