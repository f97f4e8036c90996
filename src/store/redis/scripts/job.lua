#!lua
-- portcullis job 1
-- Takes a job for a while, keeps it, gives it back, or says where it is done. A job that passes to another owner
-- has the next fence. A job that is bound to a place is done there alone.
--
-- KEYS  job
-- ARGV  owner, milliseconds to hold it from now (0: it is given back; '': only its place is asked for),
--       place ('' if any place does)
-- reply {'MINE', fence} | {'OTHER', owner, milliseconds left} | {'ELSEWHERE', owner, 1 if it is done there now} | {'HERE'} | {'GIVEN'}
local owner, span, place = ARGV[1], ARGV[2], ARGV[3]
-- An end that is farther off was set by a clock that has been set back since.
local LONGEST_MS = 60000

local held = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'until', 'place')
local holder, fence, till = held[1], tonumber(held[2] or '0'), tonumber(held[3] or '0')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if span == '0' then
  if holder == owner then
    redis.call('HSET', KEYS[1], 'until', '0')
  end
  return {'GIVEN'}
end
if place ~= '' then
  if held[4] and held[4] ~= place then
    return {'ELSEWHERE', holder or '', till > now and '1' or '0'}
  end
  if not held[4] then
    redis.call('HSET', KEYS[1], 'place', place)
  end
end
if span == '' then
  return {'HERE'}
end
if holder ~= owner then
  if till > now and till <= now + LONGEST_MS then
    return {'OTHER', holder, string.format('%.0f', till - now)}
  end
  fence = fence + 1
end
fence = string.format('%.0f', fence)
redis.call('HSET', KEYS[1], 'owner', owner, 'fence', fence, 'until', string.format('%.0f', now + span))
return {'MINE', fence}
