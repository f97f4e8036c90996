#!lua
-- portcullis strike 1
-- Strikes a gate off the roster, unless it is live.
--
-- KEYS  nodes
-- ARGV  node, ms that a gate is live after a beat
-- reply DONE, NONE if there is no such gate, LIVE if it beats
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then
  return 'NONE'
end
local at, state = string.match(row, '^%x+ %d+ %d+ (%d+) (%a+) ')
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
if state == 'up' and tonumber(at) + tonumber(ARGV[2]) >= now then
  return 'LIVE'
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 'DONE'
