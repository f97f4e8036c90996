#!lua
-- portcullis lease 1
-- Settles what one gate tells and asks of one shared limit. It does what domain::lease::Bucket::settle says, to the last
-- digit: every number here is whole and below 2^53.
--
-- KEYS  the bucket's hash: v whole tokens, f ns that the next one has grown for, t when that was (µs),
--       n:<node> run, seq, held, demand (sixteenths of a token a horizon), received, handed, until (µs), at (µs)
-- ARGV  node, run, seq, ns a token, burst, set aside, horizon (µs), life (µs), held, received, handed,
--       least, need, want, demand, estimate: whole tokens and ns, elapsed (µs; -1: nothing was answered yet), 1 if it was away
-- reply granted, whole tokens and ns left, now (µs); nothing if a later call came first
local hash, row, run = KEYS[1], 'n:' .. ARGV[1], ARGV[2]
local seq, token, burst, aside = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local horizon, life = tonumber(ARGV[7]), tonumber(ARGV[8])
local held, received, handed = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local least, need, want, demand = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local guess, guess_ns, elapsed = tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local away = ARGV[19] == '1'

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function digits(number)
  return string.format('%.0f', number)
end

local v, f, t, mine
local leases, out, rivals, gone = {}, 0, 0, {}
local all = redis.call('HGETALL', hash)
for at = 1, #all, 2 do
  local name, value = all[at], all[at + 1]
  if name == 'v' then v = tonumber(value)
  elseif name == 'f' then f = tonumber(value)
  elseif name == 't' then t = tonumber(value)
  else
    local r, s, h, d, c, w, u, a = string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    if r then
      h, u, a = tonumber(h), tonumber(u), tonumber(a)
      if h > 0 then leases[#leases + 1] = {u, h} end
      if name ~= row then
        if u > now then out = out + h end
        if a + 2 * horizon > now then rivals = rivals + tonumber(d) end
        if u + 10000000 < now then gone[#gone + 1] = name end
      elseif r == run then
        mine = {seq = tonumber(s), received = tonumber(c), handed = tonumber(w), held = h, ends = u, at = a}
      end
    end
  end
end
if mine and mine.seq >= seq then
  return false
end

local function cap(tokens, ns)
  if v > tokens or (v == tokens and f > ns) then v, f = tokens, ns end
end
local brim = burst - aside - out - held
local missing = not (v and f and t)
if missing then
  v, f = brim, 0
else
  -- It refills only as far as what is out leaves room; a lease that ends makes room from then on.
  local function refill(us, room)
    local grown = math.min(f, token - 1) + math.min(us * 1000, 8000000000000000)
    v, f = v + math.floor(grown / token), grown % token
    cap(room, 0)
  end
  table.sort(leases, function(one, other) return one[1] < other[1] end)
  local room = burst - aside
  for _, lease in ipairs(leases) do
    if lease[1] > t then room = room - lease[2] end
  end
  for _, lease in ipairs(leases) do
    if lease[1] > t and lease[1] <= now then
      refill(lease[1] - t, room)
      t, room = lease[1], room + lease[2]
    end
  end
  -- A clock that was set back refills nothing.
  refill(math.max(now - t, 0), room)
end
-- A reply that was lost gave nothing to keep, and what was given back is here again: unless that lease has ended, and
-- there was room to refill it. What was lost for those who waited has been refilled since, so that stays spent. A write
-- that was lost is made again.
local lost = received + handed > 0
if mine then
  local less = math.max(received - mine.received, 0) + math.max(handed - mine.handed, 0)
  local back = math.min(math.max(mine.received - received, 0), mine.held)
  if mine.ends <= now then back = 0 end
  v, lost = v + back - less, less > 0
end
local ahead = mine and elapsed >= 0 and now > mine.at + elapsed + 250000
if missing or lost or ahead or away then
  cap(guess, guess_ns)
end
cap(brim, 0)

local there = math.max(v, 0)
rivals = math.min(rivals, 137438953472)
local parts = 0
if rivals > 0 then
  parts = math.floor(rivals * 65536 / (math.min(demand, 137438953472) + rivals))
end
local reserved = math.min(math.ceil(rivals / 16), math.floor(there * parts / 65536))
local granted = math.min(want, there - reserved)
if least > there then
  granted = 0
elseif least > granted then
  granted = least
end

v = v - granted
-- Whoever waits spends at once, so that is not out.
local kept = math.max(granted - need, 0)
redis.call('HSET', hash, 'v', digits(v), 'f', digits(f), 't', digits(now), row, run .. ' ' .. digits(seq) .. ' ' ..
  digits(held + kept) .. ' ' .. digits(demand) .. ' ' .. digits(received + kept) .. ' ' ..
  digits(handed + granted - kept) .. ' ' .. digits(now + life + 50000) .. ' ' .. digits(now))
if #gone > 0 then
  redis.call('HDEL', hash, unpack(gone))
end
-- Whole again by then, and nothing is out on lease: as good as not there. Ten years are for ever.
local lives = math.min(math.ceil((burst - v) * (token / 1000000)) + math.ceil(life / 500), 315360000000)
redis.call('PEXPIRE', hash, digits(lives))
return {digits(granted), digits(v), digits(f), digits(now)}
