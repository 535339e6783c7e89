-- Adds jobs. ARGV: 3 name, 4 milliseconds after which a job that is not its lead's first is checked again, 5
-- key prefix of the dead letter queue.
local name, recheck, dead = ARGV[3], tonumber(ARGV[4]), ARGV[5]

-- Whether a job exists and is not finished.
local function is_there(id)
  return call('EXISTS', prefix .. id) == 1 and not finished(id)
end

-- The answer for a job that exists: 0, or 1 if it was in no state and is put back into one.
local function found(id, lead)
  if not is_lost(id) then return 0 end
  if is_first(lead, id) then wait(id, 'added') end
  return 1
end

-- Jobs to add to the waiting list, in one call at the end.
local waiting = {}

-- The last job in a lead's order, if it is unfinished and has the same content: another such job would find
-- nothing to do.
local function repeated(lead, content)
  local last = call('LINDEX', order(lead), -1)
  if last and call('HGET', prefix .. last, 'content') == content and is_there(last) then return last end
end

-- Returns 1, or 0 if the job exists already. The existing job may have the id that another producer gave it
-- or, if a hash of the content is given, the id of the delivery that this one repeats.
local function add(id, data, opts, lead, content)
  if call('EXISTS', prefix .. id, dead .. id, dead .. 'letter-' .. id, alias(id)) > 0 then
    delete_dead_letter(dead, id)
    local other = call('GET', alias(id))
    if other then
      delete_dead_letter(dead, other)
      if is_there(other) then return found(other, lead) end
      call('DEL', alias(id))
    end
    if is_there(id) then return found(id, lead) end
    call('ZREM', prefix .. 'completed', id)
    call('ZREM', prefix .. 'failed', id)
    delete(id)
  end
  local last = content and repeated(lead, content)
  if last then return found(last, lead) end
  if content then call('HSET', prefix .. id, 'content', content) end
  call('HSET', prefix .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', now, 'delay', 0, 'priority', 0,
    'lead', lead)
  call('XADD', prefix .. 'events', '*', 'event', 'added', 'jobId', id, 'name', name)
  if append_to_order(lead, id) == 1 or is_first(lead, id) then
    event('waiting', id, 'prev', 'added')
    placed[id] = true
    waiting[#waiting + 1] = id
  else
    delay(id, recheck)
  end
  return 1
end

local function push_waiting()
  if #waiting > 0 then
    call('LPUSH', prefix .. 'wait', unpack(waiting))
    wake()
  end
end
