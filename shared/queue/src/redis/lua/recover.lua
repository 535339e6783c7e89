-- Releases the jobs of dead workers by BullMQ's rule: a job that was active at the last check, has not been
-- renewed since, and has no lock. ARGV: 3 milliseconds between two checks, over all processes. Returns the
-- number of jobs.
if not call('SET', prefix .. 'stalled-check', now, 'PX', ARGV[3], 'NX') then return 0 end
local recovered = 0
for _, id in ipairs(call('SMEMBERS', prefix .. 'stalled')) do
  local job = prefix .. id
  local lost = call('EXISTS', job .. ':lock') == 0 and call('LREM', prefix .. 'active', 1, id) > 0
  if lost and call('EXISTS', job) == 1 then
    call('HINCRBY', job, 'stc', 1)
    call('RPUSH', prefix .. 'wait', id)
    event('waiting', id, 'prev', 'active')
    event('stalled', id)
    recovered = recovered + 1
  end
end
call('DEL', prefix .. 'stalled')
for _, id in ipairs(call('LRANGE', prefix .. 'active', 0, -1)) do
  call('SADD', prefix .. 'stalled', id)
end
if recovered > 0 then wake() end
return recovered
