-- Stores a form id for its user.
-- KEYS: consent, form ids
local form_id, uses, expires, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

if expires <= millis() then
  return 'expired'
end
if redis.call('HEXISTS', KEYS[1], mark(form_id)) == 1 or stored_uses(KEYS[2], form_id) then
  return 'repeated'
end
redis.call('ZADD', KEYS[2], expires, form_member(uses, form_id))
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -most - 1) -- those that expire first
return 'granted'
