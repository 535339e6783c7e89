-- Leases jobs. ARGV: 3 maximum number of jobs, 4 token, 5 milliseconds of a lease, 6 milliseconds after which
-- a job that is not its lead's first is checked again, 7 name of this worker, 8 and 9 rate limit as a number
-- of jobs and milliseconds (or 0). Returns for each job: id, token, lead (empty if unknown), data, attempts
-- made, losses, time sent, and 1 if a person retried it after it was dead-lettered.
local max, token, lease, recheck = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if paused then return {} end

-- Moves due jobs from delayed to waiting, unless another job of their lead comes first.
local due = call('ZRANGEBYSCORE', prefix .. 'delayed', 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 200)
for _, id in ipairs(due) do
  call('ZREM', prefix .. 'delayed', id)
  local lead = lead_of(id)
  if lead and not is_first(lead, id) then
    delay(id, recheck)
  elseif call('EXISTS', prefix .. id) == 1 then
    call('HSET', prefix .. id, 'delay', 0)
    wait(id, 'delayed')
  end
end

if concurrency then max = math.min(max, concurrency - call('LLEN', prefix .. 'active')) end
if not rate_max and tonumber(ARGV[8]) > 0 then rate_max, rate_duration = tonumber(ARGV[8]), tonumber(ARGV[9]) end
if rate_max then
  if call('PTTL', prefix .. 'limiter') <= 0 then call('DEL', prefix .. 'limiter') end
  max = math.min(max, rate_max - (tonumber(call('GET', prefix .. 'limiter')) or 0))
end

local function pop()
  local id = call('RPOPLPUSH', prefix .. 'wait', prefix .. 'active')
  if not id then
    id = call('ZPOPMIN', prefix .. 'prioritized')[1]
    if id then call('LPUSH', prefix .. 'active', id) end
  end
  return id
end

local leased = {}
for _ = 1, 4 * math.max(max, 0) + 100 do
  if #leased >= max then break end
  local id = pop()
  if not id then break end
  local job = prefix .. id
  local fields = call('HMGET', job, 'data', 'lead', 'atm', 'stc', 'timestamp', 'ats', 'redriven')
  local data, lead = fields[1], fields[2] or ''
  if not data then
    call('LREM', prefix .. 'active', 1, id) -- a marker of BullMQ 4, or a job that was deleted by hand
  elseif lead ~= '' and not is_first(lead, id) then
    call('LREM', prefix .. 'active', 1, id)
    delay(id, recheck)
  else
    local its_token = token .. ':' .. #leased
    if rate_max and call('INCR', prefix .. 'limiter') == 1 then
      call('PEXPIRE', prefix .. 'limiter', rate_duration)
    end
    call('SET', job .. ':lock', its_token, 'PX', lease)
    call('HSET', job, 'processedOn', now, 'pb', ARGV[7], 'ats', (tonumber(fields[6]) or 0) + 1)
    call('XADD', prefix .. 'events', '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
    leased[#leased + 1] =
      { id, its_token, lead, data, fields[3] or '0', fields[4] or '0', fields[5] or '0', fields[7] or '0' }
  end
end
-- Only one Node worker was woken: wakes the next one for the remaining jobs.
if call('LLEN', prefix .. 'wait') > 0 then wake() end
return leased
