-- Which completed jobs are kept: as the options of the job that was completed last say, or else ours. `policy` is the text
-- that ours have in the options, and the numbers are what it says.
local function remove_oldest(many)
  local oldest = call('ZPOPMIN', prefix .. 'completed', many)
  for i = 1, #oldest, 2 do delete(oldest[i]) end
end

local function keep(id, opts, policy, count, seconds)
  local slack = 50 -- many at once cost less
  if opts and not string.find(opts, policy, 1, true) then
    local readable, options = pcall(cjson.decode, opts)
    local wanted = readable and type(options) == 'table' and options.removeOnComplete
    if wanted == true then
      count = 0
    elseif type(wanted) == 'number' then
      count, seconds = wanted, nil
    elseif type(wanted) == 'table' then
      count, seconds = tonumber(wanted.count), tonumber(wanted.age)
    end
    slack = 0
  end
  if count == 0 then
    call('ZREM', prefix .. 'completed', id)
    delete(id)
    return
  end
  local over = count and count > 0 and call('ZCARD', prefix .. 'completed') - count or 0
  if over > slack then
    remove_oldest(math.min(over, 100))
  elseif seconds and now % 50 == 0 then
    local old = call('ZCOUNT', prefix .. 'completed', '-inf', now - seconds * 1000)
    if old > 0 then remove_oldest(math.min(old, 100)) end
  end
end
