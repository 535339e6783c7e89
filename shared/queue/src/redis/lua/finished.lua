-- What is left to do for a job that BullMQ's own script has finished. ARGV: 3 id, 4 and 5 how many completed jobs are
-- kept and for how many seconds, 6 prefix of the dead letters.
local id = ARGV[3]
local lead, delivery = lead_of(id), call('HGET', prefix .. id, 'delivery')
if call('ZREM', prefix .. 'failed', id) == 1 then
  delete(id) -- it is among the dead letters
elseif call('ZSCORE', prefix .. 'completed', id) then
  call('HSET', prefix .. id, 'lead', '', 'worked', lead or '') -- ours has finished it
  if delivery then forget(delivery, id) end
  drop_letter(ARGV[6], id) -- left by a worker that died half way
  keep_as(call('HGET', prefix .. id, 'opts'), id, tonumber(ARGV[4]), tonumber(ARGV[5]))
end
if lead then leave(lead, id) end
return 1
