#!lua
-- portcullis beat 3
-- Writes down that one gate is there, and tells where the store stands and which gates there are.
--
-- KEYS  nodes, meta, feed
-- ARGV  incarnation, node, boot, applied revision, up or off, seconds until it refuses by itself without the store,
--       version, ms that a gate is live after a beat, s that a row is kept, most rows, and where the gate's mirror stands:
--       its revision, the change that made it, where its audit chain ends, and the hash of that as it is ('' if there is none)
-- A row is boot, index, applied revision, last beat (ms), up or off, seconds until it refuses, version, by spaces; what a
-- newer gate adds to its own stands behind.
-- reply {'OK', now (µs), revision, id of the last change, where the audit chain ends, then of each gate its name and its row}
--       | {'TAKEN', boot of who has the name, ms since its last beat} | {'FULL'} | {'FOREIGN', incarnation}
local nodes, node, boot = KEYS[1], ARGV[2], ARGV[3]
local live, kept, most = tonumber(ARGV[8]), tonumber(ARGV[9]) * 1000, tonumber(ARGV[10])

local stand = redis.call('HMGET', KEYS[2], 'inc', 'rev', 'cid', 'head')
if stand[1] ~= ARGV[1] then
  return {'FOREIGN', stand[1] or ''}
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- A gate that is on a history which was lost has applied nothing of this one, whatever its revision is. A change that
-- is made again keeps its id, but its audit entries have other hashes.
local applied = ARGV[4]
local at_rev = tonumber(ARGV[11])
if at_rev > 0 then
  local is_here
  if at_rev == tonumber(stand[2]) then
    is_here = stand[3] == ARGV[12] and (stand[4] or '') == ARGV[13]
  else
    local entry = redis.call('XRANGE', KEYS[3], ARGV[11] .. '-0', ARGV[11] .. '-0')[1]
    local sealed
    for at = 1, entry and #entry[2] or 0, 2 do
      if entry[2][at] == 'c' then is_here = entry[2][at + 1] == ARGV[12] end
      if entry[2][at] == 'a' then sealed = entry[2][at + 1] end
    end
    is_here = is_here and sealed and ARGV[14] ~= '' and string.find(sealed, ARGV[14], 1, true)
  end
  if not is_here then applied = '0' end
end

local rows, count, mine, eldest = {}, 0, nil, nil
local taken, gone = {}, {}
local all = redis.call('HGETALL', nodes)
for at = 1, #all, 2 do
  local name, row = all[at], all[at + 1]
  local b, i, r, t, s, stale = string.match(row, '^(%x+) (%d+) (%d+) (%d+) (%a+) (%d+) ')
  if b and tonumber(t) > now + live then
    -- A clock wrote it that has been set back since: from now on it ages as any other.
    t = string.format('%.0f', now)
    row = string.gsub(row, '^(%x+ %d+ %d+ )%d+', '%1' .. t)
    redis.call('HSET', nodes, name, row)
  end
  if not b then
    -- A row of a version to come is its own business.
    count = count + 1
  elseif name == node then
    mine = {boot = b, index = tonumber(i), at = tonumber(t), is_up = s == 'up'}
  elseif tonumber(t) + math.max(kept, tonumber(stale) * 1000) < now then
    gone[#gone + 1] = name
  else
    count = count + 1
    rows[#rows + 1] = name
    rows[#rows + 1] = row
    -- Who signed off comes back as another; who is silent may be there.
    if s == 'up' then
      taken[tonumber(i)] = true
    end
    if (s ~= 'up' or tonumber(t) + live < now) and (not eldest or tonumber(t) < eldest.at) then
      eldest = {name = name, at = tonumber(t)}
    end
  end
end
if mine and mine.is_up and mine.boot ~= boot and mine.at + live >= now then
  return {'TAKEN', mine.boot, string.format('%.0f', math.max(now - mine.at, 0))}
end
if ARGV[5] == 'off' and not (mine and mine.boot == boot) then
  -- Somebody else has the name by now, or it was struck off: there is nothing to sign off.
  return {'OK', clock[1] .. string.format('%06d', clock[2]), stand[2], stand[3], stand[4] or ''}
end
if not mine and count >= most then
  if not eldest then
    return {'FULL'}
  end
  gone[#gone + 1] = eldest.name
end

local index = mine and mine.index
if not index or taken[index] then
  index = 0
  while taken[index] do
    index = index + 1
  end
end
local row = table.concat({boot, string.format('%.0f', index), applied, string.format('%.0f', now), ARGV[5], ARGV[6],
  ARGV[7]}, ' ')
if #gone > 0 then
  redis.call('HDEL', nodes, unpack(gone))
end
redis.call('HSET', nodes, node, row)
local reply = {'OK', clock[1] .. string.format('%06d', clock[2]), stand[2], stand[3], stand[4] or '', node, row}
for at = 1, #rows, 2 do
  if not eldest or gone[#gone] ~= rows[at] then
    reply[#reply + 1] = rows[at]
    reply[#reply + 1] = rows[at + 1]
  end
end
return reply
