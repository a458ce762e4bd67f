-- Lets one caller ask WeChat, or says why not: whether it is still needed is judged in the same step that takes the lock.
-- KEYS: token, lock, failure, budget
local owner, lease = ARGV[1], ARGV[2]
local cause, since = ARGV[3], tonumber(ARGV[4])
local limit, ask_every = tonumber(ARGV[5]), tonumber(ARGV[6])

local now = millis()
local t, f, b = load(KEYS[1], TOKEN), load(KEYS[3], FAILURE), load(KEYS[4], BUDGET)

local function answer(verdict, wait)
  return snapshot(verdict, now, t, f, KEYS[2], wait)
end

local function near_end_due()
  local w = window(t)
  local every = ask_every
  if w < every then -- WeChat issues no token this short-lived: half the window still gives two questions
    every = w / 2
  end
  return t.expires - now <= w and now - b.asked >= every
end

local function needed()
  if cause == 'manual' then
    return since == 0 or t.checked < since
  elseif cause == 'near_end' then
    return usable(t, now) > 0 and near_end_due()
  elseif usable(t, now) == 0 then
    return true
  end
  return cause == 'scheduled' and now - t.checked >= math.min(RECENT, t.life / 4)
end

local holder = redis.call('GET', KEYS[2])
if holder == owner then -- our own command, repeated
  return answer('go')
end
if not needed() then
  return answer('fresh')
end
if f.resume > now and cause ~= 'manual' then
  return answer('held', f.resume - now)
end
if holder then
  return answer('busy', math.max(1, redis.call('PTTL', KEYS[2])))
end

local minute = math.floor(now / MINUTE)
if b.minute ~= minute then
  b.minute, b.used = minute, 0
end
if b.used >= limit then
  return answer('spent', (minute + 1) * MINUTE - now)
end

b.used, b.asked = b.used + 1, now
save(KEYS[4], BUDGET, b, 2 * MINUTE)
redis.call('SET', KEYS[2], owner, 'PX', lease)
-- Turns grow even if the clock goes back or Redis forgot the last one.
t.turn = math.max(now, t.turn + 1)
save(KEYS[1], TOKEN, t, KEEP)
return answer('go')
