-- Takes a dead letter out of its app's list, unless its notification died again since.
-- KEYS: list
local id, died = ARGV[1], tonumber(ARGV[2])

local listed = redis.call('ZSCORE', KEYS[1], id)
if listed and tonumber(listed) <= died then
  redis.call('ZREM', KEYS[1], id)
end
return 'OK'
