-- Gives a leased job back. ARGV: 3 id, 4 token, 5 milliseconds to wait, 6 the error where an attempt failed, or empty.
-- A deferral ends the losses: they count in a row.
-- Returns 1, or 0 where the lease is another's or gone.
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
