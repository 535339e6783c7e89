-- Releases a leased job. ARGV: 3 id, 4 token, 5 delay in milliseconds, 6 the error of a failed attempt, or
-- empty for a deferral. A deferral resets the losses, which count only in a row. Returns 1, or 0 if the lease
-- is lost.
local id, token, millis, reason = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local job = prefix .. id
if not release(id, token) then return 0 end
if reason ~= '' then
  call('HINCRBY', job, 'atm', 1)
  call('HSET', job, 'failedReason', reason, 'stacktrace',
    stacktrace(call('HGET', job, 'stacktrace'), reason))
else
  call('HDEL', job, 'stc')
end
if millis > 0 then
  delay(id, millis)
else
  wait(id, 'active')
end
return 1
