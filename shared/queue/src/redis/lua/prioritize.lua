-- Moves a waiting lead ahead of all others, behind those that were prioritized earlier. It moves the lead's
-- first job; the later ones follow it. ARGV: 3 lead, 4 the longest list to search. Returns 1 if the job was
-- moved.
local id = head(ARGV[3])
if not id or call('EXISTS', prefix .. id .. ':lock') == 1 then return 0 end

-- The field `hot` holds the number of earlier leases at the time of prioritization: a later lease ends it.
local function is_in_front(id)
  local fields = call('HMGET', prefix .. id, 'hot', 'ats')
  return fields[1] and fields[1] == (fields[2] or '0')
end

local function take_from(list)
  return call('LLEN', prefix .. list) <= tonumber(ARGV[4]) and call('LREM', prefix .. list, -1, id) > 0
end

if is_in_front(id) then return 0 end
if call('ZREM', prefix .. 'delayed', id) == 1 then
  call('HSET', prefix .. id, 'delay', 0)
  event('waiting', id, 'prev', 'delayed')
elseif not take_from('wait') and not take_from('paused') then
  return 0
end
local last = call('GET', ours .. 'hot')
local is_behind = last and is_in_front(last) and call('LINSERT', prefix .. 'wait', 'BEFORE', last, id) > 0
if not is_behind then call('RPUSH', prefix .. 'wait', id) end
call('SET', ours .. 'hot', id)
call('HSET', prefix .. id, 'hot', call('HGET', prefix .. id, 'ats') or '0')
wake()
return 1
