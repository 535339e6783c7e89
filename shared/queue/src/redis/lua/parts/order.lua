-- The jobs of a lead, in processing order. Only the first is ever waiting or active. The others are delayed,
-- and checked again when the first is finished, or after a while. A job that is in the order has a field
-- `lead`.

-- The lifetime of an order: workers of other applications leave orders behind.
local ORDER_SECONDS = 30 * 24 * 60 * 60

local function order(lead)
  return ours .. 'order:' .. lead
end

-- Appends a job to its lead's order. Returns its position, from 1.
local function append_to_order(lead, id)
  local position = call('RPUSH', order(lead), id)
  if position == 1 then call('EXPIRE', order(lead), ORDER_SECONDS) end
  return position
end

local function lead_of(id)
  local lead = call('HGET', prefix .. id, 'lead')
  return lead ~= '' and lead
end

-- The lead's first unfinished job. Drops jobs that another application has finished or removed.
local function head(lead)
  while true do
    local first = call('LINDEX', order(lead), 0)
    if not first then return nil end
    if call('EXISTS', prefix .. first) == 1 then
      if not finished(first) then return first end
      call('HDEL', prefix .. first, 'lead')
    end
    call('LPOP', order(lead))
  end
end

-- Jobs that this script is about to put into a state.
local placed = {}

-- Whether an existing job is in none of BullMQ's states. A `resume` of BullMQ 5 causes this for jobs that
-- were added while the queue was paused. A list that is too long to search counts as holding the job, so that
-- the server is not blocked.
local function is_lost(id)
  if placed[id] then return false end
  if call('EXISTS', prefix .. id .. ':lock') == 1 then return false end
  for _, set in ipairs({ 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed' }) do
    if call('ZSCORE', prefix .. set, id) then return false end
  end
  for _, list in ipairs({ 'active', 'wait', 'paused' }) do
    if call('LLEN', prefix .. list) > 10000 or call('LPOS', prefix .. list, id) then return false end
  end
  return true
end

-- Whether an existing, unfinished job is the first of its lead.
local function is_first(lead, id)
  if call('LINDEX', order(lead), 0) == id then return true end
  local first = head(lead)
  if not first then
    append_to_order(lead, id) -- the order has expired or was deleted
    return true
  end
  if first ~= id and is_lost(first) then wait(first, 'delayed') end
  return first == id
end

-- Removes a job from its lead's order, and makes the lead's next job ready.
local function leave_order(lead, id)
  local two = call('LRANGE', order(lead), 0, 1)
  if two[1] == id then
    call('LPOP', order(lead))
    if not two[2] then return end
  else
    call('LREM', order(lead), 0, id)
  end
  local next = head(lead)
  if next and call('ZREM', prefix .. 'delayed', next) == 1 then
    call('HSET', prefix .. next, 'delay', 0)
    wait(next, 'delayed')
  end
end
