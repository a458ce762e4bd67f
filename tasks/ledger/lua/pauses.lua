-- What the scripts of pauses share (see doc.go): the text of one.

local function pause_text(p)
  return table.concat({p.began, p.since, p.till, p.probe, p.tries, p.by, p.errcode, p.reason, p.lanes}, ';')
end

-- parse_pause reads one. If it began in the future, Redis's clock went back since: it lasts as long as it was meant to.
local function parse_pause(text, now)
  if not text then
    return nil
  end
  local began, since, till, probe, tries, by, errcode, reason, lanes =
    string.match(text, '^(%d+);(%d+);(%d+);(%d+);(%d+);([^;]*);([^;]*);([^;]*);([^;]*)$')
  if not began then
    return nil
  end
  local p = {
    began = tonumber(began), since = tonumber(since), till = tonumber(till), probe = tonumber(probe), tries = tonumber(tries),
    by = by, errcode = errcode, reason = reason, lanes = lanes,
  }
  local ahead = p.since - now
  if ahead > 0 then
    p.since, p.till, p.probe = p.since - ahead, p.till - ahead, 0
  end
  return p
end
