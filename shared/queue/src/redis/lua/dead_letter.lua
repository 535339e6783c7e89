-- Moves a leased job to the dead letter queue. ARGV: 3 id, 4 token, 5 error, 6 time as text, 7 key prefix of
-- the dead letter queue, 8 options of the dead letter as JSON, 9 milliseconds of a handover. Returns the same
-- values as `complete.lua`.
local id, token, reason, dead = ARGV[3], ARGV[4], ARGV[5], ARGV[7]
local job = prefix .. id
if call('GET', job .. ':lock') ~= token then return 0 end
local fields = call('HMGET', job, 'lead', 'data', 'atm', 'stacktrace', 'parentKey', 'deid', 'delivery')
local lead, data, attempts = fields[1] or '', fields[2] or '', (tonumber(fields[3]) or 0) + 1
-- Built as text, because decoding and encoding the data would change numbers and empty lists.
if not pcall(cjson.decode, data) then data = cjson.encode(data) end
local letter = '{"originalId":' .. cjson.encode(id) .. ',"leadId":' .. cjson.encode(lead) .. ',"error":' ..
  cjson.encode(reason) .. ',"attempts":' .. attempts .. ',"failedAt":' .. cjson.encode(ARGV[6]) .. ',"data":' ..
  data .. '}'
local letter_id = dead_letter_id(dead, id)
-- BullMQ assigns ids from a counter; it must not assign this id again.
local number = string.match(letter_id, '^%d+$') and #letter_id < 16 and tonumber(letter_id)
if number and number > (tonumber(call('GET', dead .. 'id')) or 0) then call('SET', dead .. 'id', letter_id) end
call('HSET', dead .. letter_id, 'name', 'dead-letter', 'letter', 1, 'data', letter, 'opts', ARGV[8], 'timestamp', now,
  'delay', 0, 'priority', 0, 'atm', 1, 'failedReason', reason, 'stacktrace', stacktrace(fields[4], reason),
  'processedOn', now, 'finishedOn', now)
-- Dashboards show jobs in the state `failed` with their error and offer a retry.
call('ZADD', dead .. 'failed', now, letter_id)
call('XADD', dead .. 'events', 'MAXLEN', '~', 10000, '*', 'event', 'failed', 'jobId', letter_id, 'failedReason', reason,
  'prev', 'active')
-- The alias lets a redrive by delivery id find the dead letter.
if fields[7] then call('SET', alias(fields[7]), id, 'EX', ALIAS_SECONDS) end
if fields[5] or fields[6] then return hand_over(id, token, ARGV[9]) end
release(id, token)
event('failed', id, 'failedReason', reason, 'prev', 'active')
delete(id)
if lead ~= '' then leave_order(lead, id) end
if concurrency then wake() end
return 1
