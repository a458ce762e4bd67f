-- Adds a worker's counts to a day, each batch once however often it is sent.
-- KEYS: the day's counts, which batch of the worker came last
-- ARGV: batch, how long to keep the counts, how long to remember the batch, most fields, the word for all further templates,
-- and kind, template, outcome, number, …
local batch = tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[2]) or '0') >= batch then
  return 0
end
local most, further = tonumber(ARGV[4]), ARGV[5]
for i = 6, #ARGV, 4 do
  local field = ARGV[i] .. ';' .. ARGV[i + 1] .. ';' .. ARGV[i + 2]
  if redis.call('HLEN', KEYS[1]) >= most and redis.call('HEXISTS', KEYS[1], field) == 0 then
    field = ARGV[i] .. ';' .. further .. ';' .. ARGV[i + 2]
  end
  redis.call('HINCRBY', KEYS[1], field, ARGV[i + 3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], batch, 'PX', ARGV[3])
return 1
