-- Adds a job that the store holds open, unless the queue knows what became of it. ARGV: 3 to 5 see `add.lua`, 6 id, 7 data,
-- 8 options as JSON, 9 lead. Returns 1 or 0 as `add.lua` does, 2 where a worker of another maker has completed the job,
-- or 3 where one has given it up; and how many attempts were made.
local id = ARGV[6]
local job = call('GET', alias(id)) or id
local state = call('ZSCORE', prefix .. 'completed', job) and 2 or call('ZSCORE', prefix .. 'failed', job) and 3
-- Jobs that our workers have finished say so by a lead that is empty (see `done.lua`).
if state and call('HGET', prefix .. job, 'lead') ~= '' then
  -- Whoever retries it from now on, at a dashboard, knows that it was given up.
  if state == 3 then call('HSET', prefix .. job, 'redriven', 1) end
  return { state, tonumber(call('HGET', prefix .. job, 'atm')) or 0 }
end
local added = add(id, ARGV[7], ARGV[8], ARGV[9])
put_waiting()
return { added, 0 }
