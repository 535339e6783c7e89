-- Removes jobs of a lead, whatever has become of them, with their dead letters; or only counts them. ARGV: 3 lead,
-- 4 prefix of the dead letters, 5 `1` to remove; then ids. Those that wait for their turn are found by the lead. What a
-- worker holds stays with it. Returns how many there are.
local SEARCHED = 10000 -- completed jobs, the newest; ours keep a tenth of that

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
-- A repeated delivery that was sent when the first was done has an id that only its job knows.
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
  if apply then drop_letter(dead, id) end
  if call('EXISTS', prefix .. id) == 1 and call('EXISTS', prefix .. id .. ':lock') == 0 then
    found = found + 1
    if apply then
      remove(id)
      leave(lead, id)
    end
  end
end
return found
