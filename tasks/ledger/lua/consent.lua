-- What a recipient allowed (see doc.go): subscriptions, form ids, and what an attempt holds of them.

-- MAX_RUNS bounds a subscription's text. Older grants are told apart no longer: only recent pushes come in disorder.
local MAX_RUNS = 16

local function parse_subscription(text)
  if not text then
    return nil
  end
  local granted, changed, refused, list = string.match(text, '^(%d*);(%d*);(%d*);(.*)$')
  local s = {granted = tonumber(granted) or 0, changed = tonumber(changed) or 0, refused = tonumber(refused) or 0, runs = {}, left = 0}
  for at, count in string.gmatch(list or '', '(%d+)%*?(%d*)') do
    local run = {at = tonumber(at), count = tonumber(count) or 1}
    s.runs[#s.runs + 1] = run
    s.left = s.left + run.count
  end
  return s
end

local function load_subscription(key, template)
  return parse_subscription(redis.call('HGET', key, 's' .. template))
end

local function save_subscription(key, template, s, now)
  local list = {}
  for i, run in ipairs(s.runs) do
    list[i] = run.count == 1 and run.at or (run.at .. '*' .. run.count)
  end
  s.changed = math.floor(now / 1000)
  redis.call('HSET', key, 's' .. template, table.concat({s.granted, s.changed, sparse(s.refused), table.concat(list, ',')}, ';'))
end

-- grow adds one grant made at a time, by the clock of whoever reported it, at the end: the order is that of arrival.
local function grow(s, at)
  s.granted = s.granted + 1
  local last = s.runs[#s.runs]
  if last and last.at == at then
    last.count = last.count + 1
  else
    s.runs[#s.runs + 1] = {at = at, count = 1}
  end
  s.left = s.left + 1
  if #s.runs > MAX_RUNS then
    s.runs[2].count = s.runs[2].count + s.runs[1].count
    table.remove(s.runs, 1)
  end
end

-- shrink takes the grant that arrived first and returns its time.
local function shrink(s)
  local first = s.runs[1]
  first.count, s.left = first.count - 1, s.left - 1
  if first.count == 0 then
    table.remove(s.runs, 1)
  end
  return first.at
end

-- refuse ends what was granted up to a time.
local function refuse(s, at)
  local kept = {}
  s.left = 0
  for _, run in ipairs(s.runs) do
    if run.at > at then
      kept[#kept + 1] = run
      s.left = s.left + run.count
    end
  end
  s.runs, s.refused = kept, math.max(s.refused, at)
end

-- mark names a form id that must not be granted again: its last use is held or spent, or WeChat refused it. Its text is
-- gone, a digest stays until the purge. The value is the time in seconds, negative if WeChat refused it.
local function mark(form_id)
  return '!' .. string.sub(redis.sha1hex(form_id), 1, 16)
end

local function form_member(uses, form_id)
  return uses .. ';' .. form_id
end

-- stored_uses says how many messages a stored form id still allows, and its expiry; nil if it is not stored.
local function stored_uses(key, form_id)
  for uses = 1, 3 do
    local expires = redis.call('ZSCORE', key, form_member(uses, form_id))
    if expires then
      return uses, expires
    end
  end
end

-- take_use takes one use of a stored form id. The last one leaves a mark, lest it be granted again while it is held.
local function take_use(consent, forms, form_id, uses, expires, now)
  redis.call('ZREM', forms, form_member(uses, form_id))
  if uses > 1 then
    redis.call('ZADD', forms, expires, form_member(uses - 1, form_id))
  else
    redis.call('HSET', consent, mark(form_id), math.floor(now / 1000))
  end
end

-- return_use undoes take_use, unless WeChat refused the form id meanwhile.
local function return_use(consent, forms, form_id, expires)
  if string.sub(redis.call('HGET', consent, mark(form_id)) or '', 1, 1) == '-' then
    return
  end
  local uses = stored_uses(forms, form_id)
  if uses then
    redis.call('ZREM', forms, form_member(uses, form_id))
  else
    redis.call('HDEL', consent, mark(form_id))
  end
  redis.call('ZADD', forms, expires, form_member((uses or 0) + 1, form_id))
end

-- What a record holds, after an 'x' if the form id it was given proved useless:
--   C<granted>,<at>       one credit, granted at <at>
--   L<granted>            a standing subscription: nothing was taken
--   N<granted>            nothing, and nothing was there to take
--   F<expires>,<form id>  one use of a form id; <expires> is empty if it was given and never stored
-- <granted> counts the template's grants when the attempt was admitted.
local function held(r)
  local spoilt, letter, rest = string.match(r.hold, '^(x?)(%u?)(.*)$')
  return letter, rest, spoilt
end

-- unhold forgets what is held. That alone spends it.
local function unhold(r)
  local _, _, spoilt = held(r)
  r.hold = spoilt
end

-- erased says that the recipient was erased after the notification was made: what it holds is no longer theirs to return.
local function erased_at(r, at)
  return at and r.created <= tonumber(at)
end

local function erased(r, consent)
  return erased_at(r, redis.call('HGET', consent, 'x'))
end

-- hold_subscription takes what one message needs, and says whether that covers it. Of a template whose type nobody knows
-- and that was never granted, nobody can tell: WeChat decides. text is the subscription as it is stored, type is 1
-- one-time, 2 long-term, 0 unknown.
local function hold_subscription(r, key, template, text, type, now)
  local s = parse_subscription(text)
  if not s then
    r.hold = 'N0'
    return type == 0
  end
  if s.left == 0 then
    r.hold = 'N' .. s.granted
    return false
  end
  if type == 2 then
    r.hold = 'L' .. s.granted
    return true
  end
  r.hold = 'C' .. s.granted .. ',' .. shrink(s)
  save_subscription(key, template, s, now)
  return true
end

-- keep_hold is for an attempt whose predecessor left its hold: WeChat answers for all that was granted up to now.
local function keep_hold(r, consent, template)
  local letter, rest = held(r)
  local s = letter ~= 'F' and load_subscription(consent, template)
  if s then
    r.hold = letter .. s.granted .. (string.match(rest, ',%d+$') or '')
  end
end

-- refused_since says that the user refused after what is held was granted. text is the subscription as it is stored.
local function refused_since(r, text)
  local letter, rest = held(r)
  local s = parse_subscription(text)
  if letter == 'C' then
    return s and tonumber(string.match(rest, ',(%d+)$')) <= s.refused
  end
  return letter == 'L' and s and s.refused > 0 and s.left == 0
end

-- hold_form_id takes the form id that was given, or else the stored one that expires first; false if there is none.
local function hold_form_id(r, consent, forms, given, now)
  local _, _, spoilt = held(r)
  if given ~= '' and spoilt == '' then
    if redis.call('HEXISTS', consent, mark(given)) == 0 then
      local uses, expires = stored_uses(forms, given)
      if uses then
        take_use(consent, forms, given, uses, expires, now)
      end
      r.hold = 'F' .. (expires or '') .. ',' .. given -- nobody knows how often one may be used that was never stored
      return true
    end
    spoilt = 'x'
  end
  redis.call('ZREMRANGEBYSCORE', forms, '-inf', now)
  local first = redis.call('ZRANGE', forms, 0, 0, 'WITHSCORES')
  if #first == 0 then
    r.hold = spoilt
    return false
  end
  local uses, form_id = string.match(first[1], '^(%d);(.*)$')
  take_use(consent, forms, form_id, tonumber(uses), first[2], now)
  r.hold = spoilt .. 'F' .. first[2] .. ',' .. form_id
  return true
end

-- give_back returns what is held: nothing was sent.
local function give_back(r, consent, forms, template, now)
  local letter, rest = held(r)
  unhold(r)
  if letter == 'C' and not erased(r, consent) then
    local at = tonumber(string.match(rest, ',(%d+)$'))
    local s = load_subscription(consent, template)
    if s and at > s.refused then -- else the user refused meanwhile
      table.insert(s.runs, 1, {at = at, count = 1})
      save_subscription(consent, template, s, now)
    end
  elseif letter == 'F' and not erased(r, consent) then
    local expires, form_id = string.match(rest, '^(%d*),(.*)$')
    if expires ~= '' then
      return_use(consent, forms, form_id, expires)
    end
  end
end

-- revoke ends the grants that had arrived when the attempt was admitted: WeChat says that there is nothing left of them.
local function revoke(r, consent, template, now)
  local letter, rest = held(r)
  if letter == '' or letter == 'F' then
    return
  end
  unhold(r)
  local s = load_subscription(consent, template)
  if not s or erased(r, consent) then -- all there is was granted since
    return
  end
  local later = math.max(0, s.granted - tonumber(string.match(rest, '^%d+')))
  while s.left > later do
    shrink(s)
  end
  save_subscription(consent, template, s, now)
end

-- discard ends a form id that WeChat refuses; the next attempt takes another one.
local function discard(r, consent, forms, given, now)
  local letter, rest = held(r)
  if letter ~= 'F' then
    return
  end
  unhold(r)
  local form_id = string.match(rest, '^%d*,(.*)$')
  if form_id == given then
    r.hold = 'x'
  end
  if erased(r, consent) then
    return
  end
  local uses = stored_uses(forms, form_id)
  if uses then
    redis.call('ZREM', forms, form_member(uses, form_id))
  end
  redis.call('HSET', consent, mark(form_id), -math.floor(now / 1000))
end

-- let_go deals with what is held when a notification ends: after a lost answer it may have been used.
local function let_go(r, consent, forms, template, now)
  if r.unknowns == 0 then
    give_back(r, consent, forms, template, now)
  end
  r.hold = ''
end
