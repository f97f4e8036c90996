#!lua
-- portcullis begin 1
-- Makes an empty store, or says where the one that is there stands.
--
-- KEYS  meta, feed, audit
-- ARGV  format, the oldest format whose readers understand it, incarnation, id that stands before the first change
-- reply {'DAMAGED', why}, or the six fields of meta: fmt, min_reader, inc, rev, cid, head
if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('EXISTS', KEYS[3]) == 1 then
    return {'DAMAGED', 'there are changes but no meta'}
  end
  redis.call('HSET', KEYS[1], 'fmt', ARGV[1], 'min_reader', ARGV[2], 'inc', ARGV[3], 'rev', '0', 'cid', ARGV[4], 'head', '')
end
return redis.call('HMGET', KEYS[1], 'fmt', 'min_reader', 'inc', 'rev', 'cid', 'head')
