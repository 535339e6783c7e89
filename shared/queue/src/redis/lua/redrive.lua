-- Requeues a dead letter that a person retried, and marks the job as redriven. ARGV: 3 to 5 see `add.lua`, 6
-- id, 7 data, 8 options as JSON, 9 lead, 10 delivery id, or empty if it equals the job's id. Returns the same
-- values as `add.lua`.
local id, delivery = ARGV[6], ARGV[10]
local added = add(id, ARGV[7], ARGV[8], ARGV[9])
push_waiting()
if call('EXISTS', prefix .. id) == 1 then
  call('HSET', prefix .. id, 'redriven', 1)
  if delivery ~= '' then set_alias(delivery, id) end
end
return added
