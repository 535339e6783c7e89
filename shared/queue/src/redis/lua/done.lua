-- Ends jobs that were worked. ARGV: 3 to 5 which completed jobs are kept (see `keep`), 6 milliseconds; then of each job:
-- id, token. Returns for each 1, 0 where the lease is another's or gone, or -1 where only BullMQ's own script can finish
-- the job: its lock is then the empty text, for the milliseconds.
local policy, count, seconds = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local function finish(id, token)
  local fields = call('HMGET', prefix .. id, 'lead', 'opts', 'atm', 'parentKey', 'deid')
  if fields[4] or fields[5] then return surrender(id, token, ARGV[6]) end
  if not release(id, token) then return 0 end
  local attempts = (tonumber(fields[3]) or 0) + 1
  call('HSET', prefix .. id, 'lead', '', 'atm', attempts, 'returnvalue', 'null', 'finishedOn', now)
  call('ZADD', prefix .. 'completed', now, id)
  event('completed', id, 'returnvalue', 'null', 'prev', 'active')
  keep(id, fields[2], policy, count, seconds)
  local lead = fields[1] or ''
  if lead ~= '' then leave(lead, id) end
  return 1
end

local done = {}
for i = 7, #ARGV, 2 do
  done[#done + 1] = finish(ARGV[i], ARGV[i + 1])
end
if concurrency then wake() end
return done
