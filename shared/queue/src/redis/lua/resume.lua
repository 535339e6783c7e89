-- Ends the pause for a dependency (ARGV[3]). Resumes the queue after the last pause, if the pause is ours.
call('HDEL', ours .. 'pauses', ARGV[3])
if call('EXISTS', ours .. 'pauses') == 1 or paused ~= 'dependency' then return 0 end
call('HDEL', prefix .. 'meta', 'paused')
paused = nil
-- While the queue is paused, producers of BullMQ 5 add their jobs to a separate list.
while true do
  local aside = call('LRANGE', prefix .. 'paused', 0, 999)
  if #aside == 0 then break end
  call('RPUSH', prefix .. 'wait', unpack(aside))
  call('LTRIM', prefix .. 'paused', #aside, -1)
end
if call('LLEN', prefix .. 'wait') + call('ZCARD', prefix .. 'prioritized') > 0 then wake() end
local next = call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')[2]
if next then call('ZADD', prefix .. 'marker', tonumber(next) / 0x1000, '1') end
call('XADD', prefix .. 'events', '*', 'event', 'resumed')
return 1
