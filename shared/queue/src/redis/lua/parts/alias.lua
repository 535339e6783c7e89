-- Aliases of jobs. A job of another producer has its own id, but the store knows it by its delivery id. The
-- first job of a delivery that one of our workers claims is recorded here under the delivery id, so that a
-- send by that id finds the job, or its dead letter.

-- The lifetime of an order (see `order.lua`): workers of other applications leave aliases behind.
local ALIAS_SECONDS = 30 * 24 * 60 * 60

local function alias(delivery)
  return ours .. 'job:' .. delivery
end

local function set_alias(delivery, id)
  call('HSET', prefix .. id, 'delivery', delivery)
  call('SET', alias(delivery), id, 'NX', 'EX', ALIAS_SECONDS)
end

local function clear_alias(delivery, id)
  if call('GET', alias(delivery)) == id then call('DEL', alias(delivery)) end
end
