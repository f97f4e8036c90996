#!lua
-- portcullis ask 1
-- Has a question asked for a while, and forgets those whose time is over.
--
-- KEYS  questions
-- ARGV  its name, the question, milliseconds to ask it from now, how many there may be
-- reply DONE | FULL
-- A row is when it is over, by the clock of the server, a space, and the question.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- An end that is farther off was set by a clock that has been set back since.
local LONGEST_MS = 60000

local rows = redis.call('HGETALL', KEYS[1])
local others = 0
for at = 1, #rows, 2 do
  if rows[at] ~= ARGV[1] then
    local till = tonumber(string.match(rows[at + 1], '^(%d+) ')) or 0
    if till <= now or till > now + LONGEST_MS then
      redis.call('HDEL', KEYS[1], rows[at])
    else
      others = others + 1
    end
  end
end
if others >= tonumber(ARGV[4]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 'FULL'
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + tonumber(ARGV[3])) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], LONGEST_MS)
return 'DONE'
