-- Completes leased jobs. ARGV: 3 to 5 the retention of completed jobs (see `trim_by_options`): the text that
-- our own jobs have in their options, the count and the age in seconds; 6 milliseconds of a handover; then id
-- and token of each job. Returns for each job 1, 0 if the lease is lost, or -1 if only BullMQ's own script
-- can finish the job: its lock is then the empty text for the given milliseconds.
local policy, count, seconds = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

-- Commands are batched over all jobs where possible: the overhead of a command exceeds its work.
local locks = {}
for i = 7, #ARGV, 2 do locks[#locks + 1] = prefix .. ARGV[i] .. ':lock' end
local held = call('MGET', unpack(locks))

local done, over, ended, left = {}, {}, {}, {}
for i = 7, #ARGV, 2 do
  local id, token, number = ARGV[i], ARGV[i + 1], #done + 1
  local fields = held[number] == token and call('HMGET', prefix .. id, 'lead', 'opts', 'atm', 'parentKey', 'deid', 'delivery')
  if not fields then
    done[number] = 0
  elseif fields[4] or fields[5] then
    done[number] = hand_over(id, token, ARGV[6])
  else
    over[#over + 1] = id
    done[number] = call('LREM', prefix .. 'active', -1, id) > 0 and 1 or 0
    if done[number] == 1 then
      local attempts = (tonumber(fields[3]) or 0) + 1
      call('HSET', prefix .. id, 'lead', '', 'worked', fields[1] or '', 'atm', attempts, 'returnvalue', 'null', 'finishedOn', now)
      event('completed', id, 'returnvalue', 'null', 'prev', 'active')
      ended[#ended + 1] = now
      ended[#ended + 1] = id
      left[#left + 1] = { id, fields[1] or '', fields[2] }
      if fields[6] then clear_alias(fields[6], id) end
    end
  end
end
if #over > 0 then
  for i, id in ipairs(over) do locks[i] = prefix .. id .. ':lock' end
  call('DEL', unpack(locks, 1, #over))
  call('SREM', prefix .. 'stalled', unpack(over))
end
if #ended > 0 then call('ZADD', prefix .. 'completed', unpack(ended)) end

local are_ours = false
for _, job in ipairs(left) do
  local id, lead, opts = job[1], job[2], job[3]
  if opts and string.find(opts, policy, 1, true) then
    are_ours = true
  else
    trim_by_options(opts, id, count, seconds)
  end
  if lead ~= '' then leave_order(lead, id) end
end
if are_ours then trim_completed(nil, count, seconds, 50) end -- the slack makes one larger trim out of many small ones
if concurrency then wake() end
return done
