-- Pauses the queue for a dependency. ARGV: 3 dependency, 4 reason, 5 until, in milliseconds. If BullMQ is not
-- paused, a resume by another application has ended all pauses recorded here.
if not paused then
  call('DEL', ours .. 'pauses')
  -- A value other than BullMQ's `1`: a later pause by another application overwrites it, and our resume then
  -- leaves that pause in place.
  call('HSET', prefix .. 'meta', 'paused', 'dependency')
  call('DEL', prefix .. 'marker')
  call('XADD', prefix .. 'events', '*', 'event', 'paused')
end
local since = now
local known = call('HGET', ours .. 'pauses', ARGV[3])
if known then since = cjson.decode(known).since end
call('HSET', ours .. 'pauses', ARGV[3], cjson.encode({ reason = ARGV[4], since = since, ['until'] = tonumber(ARGV[5]) }))
return 1
