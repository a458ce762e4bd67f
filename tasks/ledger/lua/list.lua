-- Reads all pauses, and the clock of the server that holds them: a cluster's masters may differ.
-- KEYS: pauses
return {millis(), redis.call('HGETALL', KEYS[1])}
