-- Releases a leased job. ARGV: 3 id, 4 token, 5 delay in milliseconds, 6 `failed`, `deferred` or `untried`, 7
-- the error of a failed attempt. A deferral resets the losses, which count only in a row. An untried job
-- returns to the front. Returns 1, or 0 if the lease is lost.
local id, token, millis, outcome, reason = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]
local job = prefix .. id
if not release(id, token) then return 0 end
if outcome == 'failed' then
  call('HINCRBY', job, 'atm', 1)
  call('HSET', job, 'failedReason', reason, 'stacktrace',
    stacktrace(call('HGET', job, 'stacktrace'), reason))
elseif outcome == 'deferred' then
  call('HDEL', job, 'stc')
end
if outcome == 'untried' then
  call('RPUSH', prefix .. 'wait', id)
  event('waiting', id, 'prev', 'active')
  wake()
elseif millis > 0 then
  delay(id, millis)
else
  wait(id, 'active')
end
return 1
