#!lua
-- portcullis answer 1
-- Leaves an answer to a question, and lets go of the oldest where there are too many. Nothing of it outlives the
-- one who asked by more than some seconds.
--
-- KEYS  answers
-- ARGV  the answer, how many may lie there, milliseconds that they do
-- reply how many lie there
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('LLEN', KEYS[1])
