#!lua
-- portcullis count 2
-- Adds one part of a batch to the counts of one shard, unless it or a later one was added before.
--
-- KEYS  marker, then the hashes of the shard that the part adds to
-- ARGV  node, epoch, seq, part, the marker that this gate left here last ('' if it does not know),
--       seconds the marker lives, number of additions,
--       then for each addition: number of its hash among KEYS, seconds a new one lives, step and version, route, counts,
--       then for each last use: number of its hash among KEYS, seconds it lives, version, milliseconds since 1970
-- reply 1 if it was added, 0 if it had been; -1 if the shard has lost what was added before, and nothing is added
local MOST_FIELDS = 4096
local node, before, additions = ARGV[1], ARGV[5], tonumber(ARGV[7])

-- Whether a marker, as it is stored, is later than another; none is the earliest.
local function is_later(one, other)
  if not one or not other then
    return one and true or false
  end
  local theirs = string.gmatch(other, '%d+')
  for number in string.gmatch(one, '%d+') do
    local a, b = tonumber(number), tonumber(theirs())
    if a ~= b then
      return a > b
    end
  end
  return false
end

local marker = redis.call('HGET', KEYS[1], node)
if not is_later(ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4], marker) then
  return 0
end
if before ~= '' and is_later(before, marker) then
  return -1
end

-- Counts are `name=number`, by spaces; names that this script does not know are added all the same.
local function sum(held, more)
  local names, counts = {}, {}
  for _, text in ipairs({held, more}) do
    for name, count in string.gmatch(text, '(%S-)=(%d+)') do
      if not counts[name] then
        names[#names + 1] = name
        counts[name] = 0
      end
      counts[name] = counts[name] + tonumber(count)
    end
  end
  for i, name in ipairs(names) do
    names[i] = name .. '=' .. string.format('%.0f', counts[name])
  end
  return table.concat(names, ' ')
end

local at = 8
for _ = 1, additions do
  local hash, field = KEYS[tonumber(ARGV[at])], ARGV[at + 2] .. ':' .. ARGV[at + 3]
  local held = redis.call('HGET', hash, field)
  local fields = held and 1 or redis.call('HLEN', hash)
  if fields >= MOST_FIELDS then
    field = ARGV[at + 2] .. ':other'
    held = redis.call('HGET', hash, field)
  end
  redis.call('HSET', hash, field, held and sum(held, ARGV[at + 4]) or ARGV[at + 4])
  if fields == 0 then
    redis.call('EXPIRE', hash, ARGV[at + 1])
  end
  at = at + 5
end

while ARGV[at] do
  local hash = KEYS[tonumber(ARGV[at])]
  local held = redis.call('HGET', hash, ARGV[at + 2])
  if not held or tonumber(held) < tonumber(ARGV[at + 3]) then
    redis.call('HSET', hash, ARGV[at + 2], ARGV[at + 3])
  end
  redis.call('EXPIRE', hash, ARGV[at + 1])
  at = at + 4
end

redis.call('HSET', KEYS[1], node, ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[6])
return 1
