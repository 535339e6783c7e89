-- Ends a lease. Returns false if the lease is lost.
local function release(id, token)
  local lock = prefix .. id .. ':lock'
  if call('GET', lock) ~= token then return false end
  call('DEL', lock)
  call('SREM', prefix .. 'stalled', id)
  return call('LREM', prefix .. 'active', -1, id) > 0
end

-- Hands a lease over to BullMQ's own script, which then accepts it without a token for the given time: for
-- jobs that are part of a flow (`parentKey`) or of BullMQ's own deduplication (`deid`). Returns 0 if the
-- lease is lost.
local function hand_over(id, token, millis)
  if call('GET', prefix .. id .. ':lock') ~= token then return 0 end
  call('SET', prefix .. id .. ':lock', '', 'PX', millis)
  return -1
end
