-- Counts. Returns how many jobs there are, how many of them are active, and the milliseconds since the oldest of those
-- that are next in their state was sent.
local oldest
local function look(id)
  local sent = id and tonumber(call('HGET', prefix .. id, 'timestamp'))
  if sent and (not oldest or sent < oldest) then oldest = sent end
end
local active = call('LLEN', prefix .. 'active')
local jobs = active
for _, list in ipairs({ 'wait', 'paused' }) do
  jobs = jobs + call('LLEN', prefix .. list)
  look(call('LINDEX', prefix .. list, -1))
end
look(call('LINDEX', prefix .. 'active', -1))
for _, set in ipairs({ 'delayed', 'prioritized', 'waiting-children' }) do
  jobs = jobs + call('ZCARD', prefix .. set)
  look(call('ZRANGE', prefix .. set, 0, 0)[1])
end
return { jobs, active, oldest and math.max(now - oldest, 0) or 0 }
