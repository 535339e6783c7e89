-- Cleans up after BullMQ's own script has finished a job. ARGV: 3 id, 4 and 5 the count and the age in
-- seconds of completed jobs to keep, 6 key prefix of the dead letter queue.
local id = ARGV[3]
local lead, delivery = lead_of(id), call('HGET', prefix .. id, 'delivery')
if call('ZREM', prefix .. 'failed', id) == 1 then
  delete(id) -- the dead letter queue holds it now
elseif call('ZSCORE', prefix .. 'completed', id) then
  call('HSET', prefix .. id, 'lead', '', 'worked', lead or '') -- marks it as finished by our worker
  if delivery then clear_alias(delivery, id) end
  delete_dead_letter(ARGV[6], id) -- left by a worker that died before finishing
  trim_by_options(call('HGET', prefix .. id, 'opts'), id, tonumber(ARGV[4]), tonumber(ARGV[5]))
end
if lead then leave_order(lead, id) end
return 1
