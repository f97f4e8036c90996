#!lua
-- portcullis commit 3
-- Lands a change whole at the revision after the expected one, or says why not.
-- Redis does not roll back: everything is checked before anything is written.
--
-- KEYS  meta, feed, audit, veils, then where each write goes, then the job that it is done by, if it is
-- ARGV  incarnation, expected revision, id of the change it is, the revision after, id of this change,
--       about how many entries the feed keeps, where the audit chain ends, where it ends then, number of writes,
--       fence of the job ('' if it is done by none),
--       then for each write: kind (k key, o owner, t token, r receipt, e event, p product, l policy, a rule of
--       automatic rotation, x one of the last three is gone, c checkpoint, v erasure), id,
--       record (of an erasure: the numbers of the audit entries, with a space after each),
--       seconds to live (0: for ever; of an event, about how many the outbox keeps),
--       then for each audit entry: its number, itself with its veil, itself without, its veil
-- reply {'OK', revision} | {'CONFLICT', revision} | {'FENCED', owner of the job} | {'FOREIGN', incarnation} | {'FORKED', id of its last change}
--       | {'REVIVE', id} | {'DAMAGED', why}
local meta, feed, audit, veils = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local incarnation, expected, before, revision, change = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local head, head_after = ARGV[7], ARGV[8]
local writes = tonumber(ARGV[9])
local fence = ARGV[10]
local first_write, first_entry = 11, 11 + 4 * writes

local stand = redis.call('HMGET', meta, 'inc', 'rev', 'cid', 'head')
if stand[1] ~= incarnation then
  return {'FOREIGN', stand[1] or ''}
end
if stand[2] ~= expected then
  return {'CONFLICT', stand[2] or ''}
end
-- A change that is made again keeps its id, and has another audit chain behind it.
if stand[3] ~= before or (stand[4] or '') ~= head then
  return {'FORKED', stand[3] or ''}
end

-- A job that another gate took over, or might have, writes nothing any more.
if fence ~= '' then
  local job = redis.call('HMGET', KEYS[#KEYS], 'fence', 'until', 'owner')
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if job[1] ~= fence or tonumber(job[2] or '0') <= now then
    return {'FENCED', job[3] or ''}
  end
end

-- A stream whose last id is not below the new one would take half of the change.
local function is_ahead(stream)
  if redis.call('EXISTS', stream) == 0 then
    return false
  end
  local about = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then
      return tonumber(string.match(about[i + 1], '^%d+')) >= tonumber(revision)
    end
  end
  return true
end
if is_ahead(feed) then
  return {'DAMAGED', 'the feed is ahead of the revision'}
end
if is_ahead(audit) then
  return {'DAMAGED', 'the audit log is ahead of the revision'}
end

-- What was revoked stays so, whatever an older binary or a mistake asks for. The second byte is the state.
for i = 1, writes do
  local at = first_write + 4 * (i - 1)
  if ARGV[at] == 'e' then
    if is_ahead(KEYS[4 + i]) then
      return {'DAMAGED', 'the outbox is ahead of the revision'}
    end
  elseif ARGV[at] ~= 'r' and ARGV[at] ~= 'x' and ARGV[at] ~= 'v' then
    local held = redis.call('HGET', KEYS[4 + i], ARGV[at + 1])
    if held and string.sub(held, 2, 2) == 'R' and string.sub(ARGV[at + 2], 2, 2) ~= 'R' then
      return {'REVIVE', ARGV[at + 1]}
    end
  end
end

-- When it is, for those who measure how long it takes to be in force everywhere. A gate that does not know of this takes
-- the last `p` there is, so the time stands before it.
local clock = redis.call('TIME')
local stamp = 'at ' .. clock[1] .. string.format('%06d', clock[2])
local entry = {feed, 'MAXLEN', '~', ARGV[6], revision .. '-0', 'p', stamp, 'c', change, 'p', stand[3]}
for i = 1, writes do
  local at = first_write + 4 * (i - 1)
  entry[#entry + 1] = ARGV[at] .. ':' .. ARGV[at + 1]
  entry[#entry + 1] = ARGV[at] == 'v' and '' or ARGV[at + 2]
end
for i = first_entry, #ARGV, 4 do
  entry[#entry + 1] = 'a'
  entry[#entry + 1] = ARGV[i + 1]
end
redis.call('XADD', unpack(entry))

for i = 1, writes do
  local at = first_write + 4 * (i - 1)
  if ARGV[at] == 'r' then
    redis.call('SET', KEYS[4 + i], ARGV[at + 2], 'EX', ARGV[at + 3])
  elseif ARGV[at] == 'v' then
    for number in string.gmatch(ARGV[at + 2], '%d+') do
      redis.call('HDEL', veils, number)
    end
  elseif ARGV[at] == 'e' then
    redis.call('XADD', KEYS[4 + i], 'MAXLEN', '~', ARGV[at + 3], revision .. '-' .. (i - 1), 'e', ARGV[at + 2])
  elseif ARGV[at] == 'x' then
    redis.call('HDEL', KEYS[4 + i], ARGV[at + 1])
  else
    redis.call('HSET', KEYS[4 + i], ARGV[at + 1], ARGV[at + 2])
  end
end
for i = first_entry, #ARGV, 4 do
  redis.call('XADD', audit, revision .. '-' .. (i - first_entry) / 4, 'e', ARGV[i + 2])
  redis.call('HSET', veils, ARGV[i], ARGV[i + 3])
end
redis.call('HSET', meta, 'rev', revision, 'cid', change, 'head', head_after)
return {'OK', revision}
