-- Drops the notes of erasures that are over, unless the user was erased once more meanwhile.
-- KEYS: notes; ARGV: tag, note, tag, note, …
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return 'OK'
