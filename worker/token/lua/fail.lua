-- Remembers that WeChat gave no token, and for how long nobody needs to ask again.
-- KEYS: token, lock, failure
local owner, turn = ARGV[1], tonumber(ARGV[2])
local class, code, detail = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local first, longest = tonumber(ARGV[6]), tonumber(ARGV[7])

local now = millis()
local t, f = load(KEYS[1], TOKEN), load(KEYS[3], FAILURE)
release(KEYS[2], owner)

-- An answer that is stored already came after this failure's question; a repeated command must not count twice.
if t.confirmed < turn and f.by ~= owner then
  f.class, f.code, f.detail, f.at, f.by = class, code, detail, now, owner
  f.count = math.min(f.count + 1, 32)
  f.resume = now + math.min(first * 2 ^ (f.count - 1), longest)
  save(KEYS[3], FAILURE, f, KEEP)
end
return snapshot('failed', now, t, f, KEYS[2])
