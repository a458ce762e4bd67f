-- Records what a user answered when asked for subscriptions.
-- KEYS: consent
local source, at = ARGV[1], tonumber(ARGV[2])
-- then, for each template: its id, 1 for accepted or 0 for refused, 1 if it is long-term

local now = millis()
if at == 0 then
  at = math.floor(now / 1000)
end
if at * 1000 + 999 <= tonumber(redis.call('HGET', KEYS[1], 'x') or 0) then -- it came late: the user was erased since
  return {0, 0, 0}
end
if redis.call('HEXISTS', KEYS[1], '!' .. source) == 1 then
  return {1, 0, 0}
end

local granted, refused = 0, 0
for i = 3, #ARGV, 3 do
  local template, yes, standing = ARGV[i], ARGV[i + 1] == '1', ARGV[i + 2] == '1'
  local s = load_subscription(KEYS[1], template) or {granted = 0, changed = 0, refused = 0, runs = {}, left = 0}
  if not yes then
    refuse(s, at)
    refused = refused + 1
    save_subscription(KEYS[1], template, s, now)
  elseif at >= s.refused then -- else it came late: the user refused since
    if standing then
      s.runs, s.left = {}, 0
    end
    grow(s, at)
    granted = granted + 1
    save_subscription(KEYS[1], template, s, now)
  end
end
redis.call('HSET', KEYS[1], '!' .. source, math.floor(now / 1000))
return {0, granted, refused}
