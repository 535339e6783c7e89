-- The dead letters that somebody retried, in BullMQ's way: they wait in a queue that nobody works on. Those that other
-- makers put there are not ours to touch. ARGV: 3 prefix of the dead letters. Returns their data, the latest first.
local retried = {}
for _, id in ipairs(call('LRANGE', ARGV[3] .. 'wait', 0, 99)) do
  local fields = call('HMGET', ARGV[3] .. id, 'letter', 'data')
  if fields[1] and fields[2] then table.insert(retried, fields[2]) end
end
return retried
