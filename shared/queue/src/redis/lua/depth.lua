-- Returns the number of jobs, the number of active jobs, and the age in milliseconds of the oldest job among
-- those that are next in their state.
local oldest
local function note_age(id)
  local sent = id and tonumber(call('HGET', prefix .. id, 'timestamp'))
  if sent and (not oldest or sent < oldest) then oldest = sent end
end
local active = call('LLEN', prefix .. 'active')
local jobs = active
for _, list in ipairs({ 'wait', 'paused' }) do
  jobs = jobs + call('LLEN', prefix .. list)
  note_age(call('LINDEX', prefix .. list, -1))
end
note_age(call('LINDEX', prefix .. 'active', -1))
for _, set in ipairs({ 'delayed', 'prioritized', 'waiting-children' }) do
  jobs = jobs + call('ZCARD', prefix .. set)
  note_age(call('ZRANGE', prefix .. set, 0, 0)[1])
end
return { jobs, active, oldest and math.max(now - oldest, 0) or 0 }
