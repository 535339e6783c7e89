-- Ends a lease. False where it is another's or gone.
local function release(id, token)
  local lock = prefix .. id .. ':lock'
  if call('GET', lock) ~= token then return false end
  call('DEL', lock)
  call('SREM', prefix .. 'stalled', id)
  return call('LREM', prefix .. 'active', -1, id) > 0
end

-- Makes a lease one that BullMQ's own script accepts without a token, for a while: for jobs that are part of a flow
-- (`parentKey`) or of BullMQ's own deduplication (`deid`). 0 where it is another's or gone.
local function surrender(id, token, millis)
  if call('GET', prefix .. id .. ':lock') ~= token then return 0 end
  call('SET', prefix .. id .. ':lock', '', 'PX', millis)
  return -1
end
