-- Adds jobs. ARGV: 3 name, 4 milliseconds until a job that is not its lead's first is looked at again, 5 prefix of the
-- dead letters.
local name, again, dead = ARGV[3], tonumber(ARGV[4]), ARGV[5]

-- Whether a job is there and has to stay.
local function is_there(id)
  return call('EXISTS', prefix .. id) == 1 and not finished(id)
end

-- A job that is there: 0, or 1 where it was lost and finds its place again.
local function found(id, lead)
  if not is_lost(id) then return 0 end
  if is_first(lead, id) then wait(id, 'added') end
  return 1
end

-- What is to wait, put there in one call in the end.
local waiting = {}

-- Whether the last job in a lead's order waits with the same content: then another one would find nothing to do.
local function repeated(lead, content)
  local last = call('LINDEX', order(lead), -1)
  if last and call('HGET', prefix .. last, 'content') == content and is_there(last) then return last end
end

-- Returns 1, or 0 where the job is there already, be it under the id that another producer gave it, or, where a hash of the
-- content is given, under that of a delivery that it repeats.
local function add(id, data, opts, lead, content)
  if call('EXISTS', prefix .. id, dead .. id, dead .. 'letter-' .. id, alias(id)) > 0 then
    drop_letter(dead, id)
    local other = call('GET', alias(id))
    if other then
      drop_letter(dead, other)
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
  if enlist(lead, id) == 1 or is_first(lead, id) then
    event('waiting', id, 'prev', 'added')
    placed[id] = true
    waiting[#waiting + 1] = id
  else
    delay(id, again)
  end
  return 1
end

local function put_waiting()
  if #waiting > 0 then
    call('LPUSH', prefix .. 'wait', unpack(waiting))
    wake()
  end
end
