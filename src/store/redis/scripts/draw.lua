#!lua
-- portcullis draw 1
-- Settles what one gate draws on one quota of one key in one period. It does what QuotaDraw::grant and ::reach say.
--
-- KEYS  the quota's hash: g given out in all, r per cent told of, l the limit they were of,
--       n:<node> the node's run and what it has received in it
-- ARGV  node, run, received, limit, need, want, charge, back, per cent reached, seconds to live (0: for ever)
-- reply units, given out in all, per cent told of before
local hash, row, run = KEYS[1], 'n:' .. ARGV[1], ARGV[2]
local received, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local need, want = tonumber(ARGV[5]), tonumber(ARGV[6])
local charge, back, reached = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local held = redis.call('HMGET', hash, 'g', 'r', 'l', row)
local before = tonumber(held[1] or '0')
local granted, known = before, 0
local known_run, known_received = string.match(held[4] or '', '^(%d+) (%d+)$')
if known_run == run then
  known = tonumber(known_received)
end
-- A reply that was lost gave nothing: it is taken back. A write that was lost is made again.
granted = math.max(granted + received - known, 0)
granted = math.max(granted - back, 0) + charge

local left = math.max(limit - granted, 0)
local units = math.min(math.max(need, math.min(want, math.floor(left / 4))), left)
granted = granted + units
received = math.max(received + units + charge - back, 0)

local told = tonumber(held[2] or '0')
local told_of = tonumber(held[3] or '0')
local told_before = 0
if limit >= told_of then
  told_before = math.min(math.floor(told * told_of / math.max(limit, 1)), 255)
end

local function digits(number)
  return string.format('%.0f', number)
end
if granted ~= before or received ~= known or reached > told_before then
  redis.call('HSET', hash, 'g', digits(granted), 'r', digits(math.max(reached, told_before)), 'l', digits(limit),
    row, run .. ' ' .. digits(received))
  if ARGV[10] ~= '0' then
    redis.call('EXPIRE', hash, ARGV[10])
  end
end
return {digits(units), digits(granted), digits(told_before)}
