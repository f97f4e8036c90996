#!lua
-- portcullis plant 1
-- Makes a store of what was carried here: all of it lies there, and now it may be found.
--
-- KEYS  meta, carrying
-- ARGV  what carrying must say, format, the oldest format whose readers understand it, incarnation, revision,
--       id of the last change, where the audit chain ends
-- reply {'OK'} | {'TAKEN'}: a store was made meanwhile | {'LOST'}: someone else carries a store here
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {'TAKEN'}
end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return {'LOST'}
end
redis.call('HSET', KEYS[1], 'fmt', ARGV[2], 'min_reader', ARGV[3], 'inc', ARGV[4], 'rev', ARGV[5], 'cid', ARGV[6],
  'head', ARGV[7])
redis.call('DEL', KEYS[2])
return {'OK'}
