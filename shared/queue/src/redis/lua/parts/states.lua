-- Moves jobs between BullMQ's states. The time is the server's, so that the clocks of the processes need not
-- agree.
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local meta = call('HMGET', prefix .. 'meta', 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
local paused = meta[1]
local concurrency, rate_max, rate_duration = tonumber(meta[2]), tonumber(meta[3]), tonumber(meta[4])

local function event(name, id, ...)
  call('XADD', prefix .. 'events', 'MAXLEN', '~', meta[5] or 10000, '*', 'event', name, 'jobId', id, ...)
end

-- Wakes one of Node's workers, which block on the marker. Once per script is enough, since they run after it.
local woken = false
local function wake()
  if woken then return end
  woken = true
  if not paused and not (concurrency and call('LLEN', prefix .. 'active') >= concurrency) then
    call('ZADD', prefix .. 'marker', 0, '0')
  end
end

-- Makes a job wait. `priority` is read from the job if it is not given.
local function wait(id, from, priority)
  priority = priority or tonumber(call('HGET', prefix .. id, 'priority')) or 0
  if priority > 0 then
    local count = call('INCR', prefix .. 'pc') % 0x100000000
    call('ZADD', prefix .. 'prioritized', priority * 0x100000000 + count, id)
  else
    call('LPUSH', prefix .. 'wait', id)
  end
  event('waiting', id, 'prev', from)
  wake()
end

-- Delays a job. The score holds the time and, in its lowest 12 bits, the rank among the jobs of the same
-- millisecond.
local function delay(id, millis)
  local due = now + millis
  local first, last = due * 0x1000, (due + 1) * 0x1000 - 1
  local highest = call('ZREVRANGEBYSCORE', prefix .. 'delayed', last, first, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local score = highest and math.min(tonumber(highest) + 1, last) or first
  call('ZADD', prefix .. 'delayed', score, id)
  call('HSET', prefix .. id, 'delay', millis)
  event('delayed', id, 'delay', due)
  local next = call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')[2]
  call('ZADD', prefix .. 'marker', tonumber(next) / 0x1000, '1')
end

local function finished(id)
  return call('ZSCORE', prefix .. 'completed', id) or call('ZSCORE', prefix .. 'failed', id)
end

local function delete(id)
  local job = prefix .. id
  call('DEL', job, job .. ':lock', job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
    job .. ':unsuccessful')
end
