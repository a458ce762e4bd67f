-- Deletes a dead letter, unless its notification died again since.
-- KEYS: letter
local died = ARGV[1]

local text = redis.call('GET', KEYS[1])
if text and string.match(text, '^(%d+);') == died then
  redis.call('DEL', KEYS[1])
end
return 'OK'
