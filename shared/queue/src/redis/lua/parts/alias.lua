-- A job of another producer has an id of its own, while the store knows it by its delivery. The first job of a delivery
-- that a worker of ours claims is kept here under the delivery's id, so that what is sent by that id finds the job, or
-- the dead letter that it has become.

-- As long as an order (see `order.lua`): workers of other makers leave it behind.
local ALIAS_SECONDS = 30 * 24 * 60 * 60

local function alias(delivery)
  return ours .. 'job:' .. delivery
end

local function remember(delivery, id)
  call('HSET', prefix .. id, 'delivery', delivery)
  call('SET', alias(delivery), id, 'NX', 'EX', ALIAS_SECONDS)
end

local function forget(delivery, id)
  if call('GET', alias(delivery)) == id then call('DEL', alias(delivery)) end
end
