-- Returns the data of dead letters that were retried through BullMQ, the newest first: they wait in the dead
-- letter queue, which no worker processes. Jobs of other applications in that queue are skipped. ARGV: 3 key
-- prefix of the dead letter queue.
local retried = {}
for _, id in ipairs(call('LRANGE', ARGV[3] .. 'wait', 0, 99)) do
  local fields = call('HMGET', ARGV[3] .. id, 'letter', 'data')
  if fields[1] and fields[2] then table.insert(retried, fields[2]) end
end
return retried
