-- Reads everything and changes nothing.
-- KEYS: token, lock, failure
return snapshot('read', millis(), load(KEYS[1], TOKEN), load(KEYS[3], FAILURE), KEYS[2])
