-- Lists the active tasks of a queue that have no lease, those that are active longest.
-- KEYS: active, lease
local most = tonumber(ARGV[1])

local found = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], -most, -1)) do
  if not redis.call('ZSCORE', KEYS[2], id) then
    found[#found + 1] = id
  end
end
return found
