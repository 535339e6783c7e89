-- Removes or counts all jobs of a lead, in any state, with their dead letters. ARGV: 3 lead, 4 key prefix of
-- the dead letter queue, 5 `1` to remove, otherwise only count; then job ids. Waiting jobs are found through
-- the lead's order. Leased jobs are skipped. Returns the number of jobs and dead letters.
local SEARCHED = 10000 -- the newest completed jobs; our own retention keeps a tenth of that

local lead, dead, apply = ARGV[3], ARGV[4], ARGV[5] == '1'

local ids, seen = {}, {}
local function note(id)
  if not seen[id] then
    seen[id] = true
    ids[#ids + 1] = id
  end
end
for i = 6, #ARGV do note(ARGV[i]) end
for _, id in ipairs(call('LRANGE', order(lead), 0, -1)) do note(id) end
-- A repeated delivery, sent after the first one was completed, has an id that only its job holds.
for _, id in ipairs(call('ZRANGE', prefix .. 'completed', -SEARCHED, -1)) do
  if call('HGET', prefix .. id, 'worked') == lead then note(id) end
end

local function remove(id)
  for _, set in ipairs({ 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed' }) do
    call('ZREM', prefix .. set, id)
  end
  for _, list in ipairs({ 'wait', 'paused' }) do call('LREM', prefix .. list, 0, id) end
  delete(id)
end

local found = 0
for _, id in ipairs(ids) do
  for _, letter in ipairs({ id, 'letter-' .. id }) do
    if call('HEXISTS', dead .. letter, 'letter') == 1 then found = found + 1 end
  end
  if apply then delete_dead_letter(dead, id) end
  if call('EXISTS', prefix .. id) == 1 and call('EXISTS', prefix .. id .. ':lock') == 0 then
    found = found + 1
    if apply then
      remove(id)
      leave_order(lead, id)
    end
  end
end
return found
