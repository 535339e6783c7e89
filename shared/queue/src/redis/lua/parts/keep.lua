-- Which completed jobs are kept: as the options of the job that was completed last say, or else ours.
local function remove_oldest(many)
  local oldest = call('ZPOPMIN', prefix .. 'completed', many)
  for i = 1, #oldest, 2 do delete(oldest[i]) end
end

-- Keeps so many, for so long. `id` is the one that was completed last, which goes where none are kept.
local function keep(id, count, seconds, slack)
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

-- As a job's options say, or else as the numbers.
local function keep_as(opts, id, count, seconds)
  local readable, options = pcall(cjson.decode, opts or '')
  local wanted = readable and type(options) == 'table' and options.removeOnComplete
  if wanted == true then
    count = 0
  elseif type(wanted) == 'number' then
    count, seconds = wanted, nil
  elseif type(wanted) == 'table' then
    count, seconds = tonumber(wanted.count), tonumber(wanted.age)
  end
  keep(id, count, seconds, 0)
end
