-- Gives the lock back without an answer.
-- KEYS: lock
release(KEYS[1], ARGV[1])
return 1
