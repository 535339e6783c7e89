-- Adds the job of a dead letter that somebody retried, and says so in it. ARGV: 3 to 5 see `add.lua`, 6 id, 7 data,
-- 8 options as JSON, 9 lead, 10 delivery, or empty where it is the id. Returns as `add.lua` does.
local id, delivery = ARGV[6], ARGV[10]
local added = add(id, ARGV[7], ARGV[8], ARGV[9])
put_waiting()
if call('EXISTS', prefix .. id) == 1 then
  call('HSET', prefix .. id, 'redriven', 1)
  if delivery ~= '' then remember(delivery, id) end
end
return added
