-- Pauses for a dependency. ARGV: 3 dependency, 4 reason, 5 until, in milliseconds.
-- A pause that BullMQ does not know any more was ended by somebody's resume, and all of ours with it.
if not paused then
  call('DEL', ours .. 'pauses')
  -- Not the `1` that BullMQ writes: whoever pauses now as well overwrites it, and that pause is not ours to end.
  call('HSET', prefix .. 'meta', 'paused', 'dependency')
  call('DEL', prefix .. 'marker')
  call('XADD', prefix .. 'events', '*', 'event', 'paused')
end
local since = now
local known = call('HGET', ours .. 'pauses', ARGV[3])
if known then since = cjson.decode(known).since end
call('HSET', ours .. 'pauses', ARGV[3], cjson.encode({ reason = ARGV[4], since = since, ['until'] = tonumber(ARGV[5]) }))
return 1
