-- Adds a job that the store has as unfinished, unless the queue knows its outcome. ARGV: 3 to 5 see
-- `add.lua`, 6 id, 7 data, 8 options as JSON, 9 lead. Returns 1 or 0 as `add.lua` does, 2 if a worker of
-- another application has completed the job, or 3 if one has failed it for good; and the number of attempts.
local id = ARGV[6]
local job = call('GET', alias(id)) or id
local state = call('ZSCORE', prefix .. 'completed', job) and 2 or call('ZSCORE', prefix .. 'failed', job) and 3
-- Our workers mark the jobs that they finish with an empty lead (see `complete.lua`).
if state and call('HGET', prefix .. job, 'lead') ~= '' then
  -- A later retry at a dashboard counts as a redrive.
  if state == 3 then call('HSET', prefix .. job, 'redriven', 1) end
  return { state, tonumber(call('HGET', prefix .. job, 'atm')) or 0 }
end
local added = add(id, ARGV[7], ARGV[8], ARGV[9])
push_waiting()
return { added, 0 }
