-- The jobs of a lead, in the order they are to be worked. Only the first is ever waiting or active; the others are
-- delayed, and looked at again when the first has gone, or after a while where nobody said so. A job that has its place
-- says so by its field `lead`.

-- How long an order is kept once it is there: workers of other makers leave it behind.
local ORDER_SECONDS = 30 * 24 * 60 * 60

local function order(lead)
  return ours .. 'order:' .. lead
end

-- Returns its place, from 1.
local function enlist(lead, id)
  local place = call('RPUSH', order(lead), id)
  if place == 1 then call('EXPIRE', order(lead), ORDER_SECONDS) end
  return place
end

local function lead_of(id)
  local lead = call('HGET', prefix .. id, 'lead')
  return lead ~= '' and lead
end

-- The lead's first job that is still to be worked. Drops those that somebody else has finished or removed.
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

-- Jobs that this script is about to put in one.
local placed = {}

-- Whether a job that is there is in none of BullMQ's states. A `resume` of BullMQ 5 does that to what was added while the
-- queue was paused. Where the lists are long nobody is to wait for an answer: then it counts as found.
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

-- Whether it is a job's turn, of those that are neither finished nor gone.
local function is_first(lead, id)
  if call('LINDEX', order(lead), 0) == id then return true end
  local first = head(lead)
  if not first then
    enlist(lead, id) -- the order was lost
    return true
  end
  if first ~= id and is_lost(first) then wait(first, 'delayed') end
  return first == id
end

-- Ends a job's place in the order, and lets the next one of its lead come.
local function leave(lead, id)
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
