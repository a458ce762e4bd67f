-- Holds an app, a kind or a template back, or holds it back longer.
-- KEYS: pauses
local field = ARGV[1]
local first, again, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]) -- how long: a new one, and each further time
local by, errcode, reason, lanes = ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local now = millis()
local p = parse_pause(redis.call('HGET', KEYS[1], field), now)
local verdict = 'new'
local began, tries, length = now, 0, first

if p and by ~= 'hand' then
  if p.by == 'hand' or p.till > now then -- what was on its way when it began
    return {'stands', p.till, p.tries}
  end
  verdict, began, tries, lanes = 'longer', p.began, p.tries + 1, p.lanes
  length = math.min(again * 2 ^ math.min(tries - 1, 20), most)
elseif p then
  verdict, began, lanes = 'longer', p.began, p.lanes
end

local till = now + math.floor(length)
redis.call('HSET', KEYS[1], field, pause_text({
  began = began, since = now, till = till, probe = 0, tries = tries, by = by, errcode = errcode, reason = reason, lanes = lanes,
}))
return {verdict, till, tries}
