-- Joins WeChat's word about the delivery with its notification.
-- KEYS: msgid, and once it is known the record
local state, errcode, detail, early_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local name = ARGV[5] -- of the record in KEYS[2], empty without one

local found = redis.call('GET', KEYS[1])
if not found then
  redis.call('SET', KEYS[1], '!' .. state .. ';' .. errcode .. ';' .. detail, 'PX', early_ttl)
  return {'early', ''}
end
if string.sub(found, 1, 1) == '!' then
  return {'repeated', ''}
end
if found ~= name then
  return {'named', found}
end
local r = load(KEYS[2])
if not r then
  return {'gone', ''}
end
if r.state ~= 'A' then
  return {'repeated', ''}
end
receive(r, state, errcode, detail)
save(KEYS[2], r, millis())
return {'joined', ''}
