-- Adds jobs. ARGV: 3 name, 4 milliseconds until a job that is not its lead's first is looked at again, 5 prefix of the
-- dead letters; then of each job: id, data, options as JSON, lead.
-- Returns for each 1, or 0 where the job is there already. One that was lost finds its place again.
local name, again, dead = ARGV[3], tonumber(ARGV[4]), ARGV[5]

-- Whether a job is there and has to stay.
local function is_there(id)
  return call('EXISTS', prefix .. id) == 1 and not finished(id)
end

-- What is to wait, put there in one call in the end.
local waiting = {}

local function add(id, data, opts, lead)
  if call('EXISTS', prefix .. id, dead .. id, dead .. 'letter-' .. id) > 0 then
    drop_letter(dead, id)
    if is_there(id) then
      if not is_lost(id) then return 0 end
      if is_first(lead, id) then wait(id, 'added') end
      return 1
    end
    call('ZREM', prefix .. 'completed', id)
    call('ZREM', prefix .. 'failed', id)
    delete(id)
  end
  call('HSET', prefix .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', now, 'delay', 0, 'priority', 0,
    'lead', lead)
  call('XADD', prefix .. 'events', '*', 'event', 'added', 'jobId', id, 'name', name)
  if enlist(lead, id) == 1 or is_first(lead, id) then
    event('waiting', id, 'prev', 'added')
    placed[id] = true
    waiting[#waiting + 1] = id
  else
    delay(id, again)
  end
  return 1
end

local added = {}
for i = 6, #ARGV, 4 do
  added[#added + 1] = add(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
if #waiting > 0 then
  call('LPUSH', prefix .. 'wait', unpack(waiting))
  wake()
end
return added
