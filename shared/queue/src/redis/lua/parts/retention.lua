-- Retention of completed jobs, by the options of the job that was completed last, or by the given defaults.
local function remove_oldest(many)
  local oldest = call('ZPOPMIN', prefix .. 'completed', many)
  for i = 1, #oldest, 2 do delete(oldest[i]) end
end

-- Keeps at most `count` completed jobs, for at most `seconds`. `id` is the job that was completed last; it is
-- deleted if `count` is 0.
local function trim_completed(id, count, seconds, slack)
  if count == 0 then
    call('ZREM', prefix .. 'completed', id)
    delete(id)
    return
  end
  local over = count and count > 0 and call('ZCARD', prefix .. 'completed') - count or 0
  if over > slack then
    remove_oldest(math.min(over, 200))
  elseif seconds and now % 50 == 0 then
    local old = call('ZCOUNT', prefix .. 'completed', '-inf', now - seconds * 1000)
    if old > 0 then remove_oldest(math.min(old, 100)) end
  end
end

-- Keeps completed jobs by a job's options if they name a retention, otherwise by the given numbers.
local function trim_by_options(opts, id, count, seconds)
  local readable, options = pcall(cjson.decode, opts or '')
  local wanted = readable and type(options) == 'table' and options.removeOnComplete
  if wanted == true then
    count = 0
  elseif type(wanted) == 'number' then
    count, seconds = wanted, nil
  elseif type(wanted) == 'table' then
    count, seconds = tonumber(wanted.count), tonumber(wanted.age)
  end
  trim_completed(id, count, seconds, 0)
end
