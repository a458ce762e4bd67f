-- Gives an active task without a lease one that is over. Answers 1 if it did, 0 if the
-- task needs none, -1 if there is nothing to bring back under that id.
-- KEYS: active, lease, task
local id = ARGV[1]

if not redis.call('LPOS', KEYS[1], id, 'RANK', -1) or redis.call('ZSCORE', KEYS[2], id) then
  return 0
end
if redis.call('HEXISTS', KEYS[3], 'msg') == 0 then
  return -1
end
return redis.call('ZADD', KEYS[2], 'NX', 0, id)
