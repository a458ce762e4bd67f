-- Deletes what one user's consent need not remember any more.
-- KEYS: consent
local sources_before, subscriptions_before, erased_before = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local all = redis.call('HGETALL', KEYS[1])
local sources, subscriptions = 0, 0
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  local sort = string.sub(field, 1, 1)
  if sort == '!' and math.abs(tonumber(value)) < sources_before then
    sources = sources + redis.call('HDEL', KEYS[1], field)
  elseif sort == 's' then
    local s = load_subscription(KEYS[1], string.sub(field, 2))
    if s.left == 0 and s.changed < subscriptions_before then
      subscriptions = subscriptions + redis.call('HDEL', KEYS[1], field)
    end
  elseif sort == 'x' and tonumber(value) < erased_before then
    redis.call('HDEL', KEYS[1], field)
  end
end
return {sources, subscriptions}
