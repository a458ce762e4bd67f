-- Records what WeChat answered, unless the answer to a later question is stored already.
-- KEYS: token, lock, failure
local owner, turn, asked = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local value, digest, expires_in = ARGV[4], ARGV[5], tonumber(ARGV[6])

local now = millis()
local t, f = load(KEYS[1], TOKEN), load(KEYS[3], FAILURE)
release(KEYS[2], owner)

local function confirm()
  t.confirmed, t.checked = turn, now
  t.turn = math.max(t.turn, turn)
  save(KEYS[1], TOKEN, t, KEEP)
  if f.at > 0 then -- the last error stays readable, and holds nobody off any more
    f.count, f.resume = 0, 0
    save(KEYS[3], FAILURE, f, KEEP)
  end
end

local verdict
if t.value == value then
  verdict = t.generation == turn and 'renewed' or 'same' -- equal turns: our own command, repeated
  if turn > t.confirmed then
    -- Each answer tells a moment until which the token surely lives: asked plus what remained then. The latest of
    -- them holds, except for a token that was refused: there the newest word counts.
    local expires = asked + expires_in
    t.expires = t.refused > 0 and expires or math.max(t.expires, expires)
    if t.refused <= asked then -- a refusal newer than the question stands
      t.refused = 0
    end
    confirm()
  end
elseif turn <= t.confirmed then
  verdict = 'late'
else
  verdict = 'renewed'
  t.value, t.digest, t.generation = value, digest, turn
  t.life, t.expires = expires_in, asked + expires_in
  t.fetched, t.refused = now, 0
  confirm()
end
return snapshot(verdict, now, t, f, KEYS[2])
