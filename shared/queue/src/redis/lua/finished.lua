-- What is left to do for a job that BullMQ's own script has finished. ARGV: 3 id, 4 to 6 which completed jobs are kept
-- (see `keep`), 7 prefix of the dead letters.
local id = ARGV[3]
local lead = lead_of(id)
if call('ZREM', prefix .. 'failed', id) == 1 then
  delete(id) -- it is among the dead letters
elseif call('ZSCORE', prefix .. 'completed', id) then
  call('HDEL', prefix .. id, 'lead')
  drop_letter(ARGV[7], id) -- left by a worker that died half way
  keep(id, call('HGET', prefix .. id, 'opts'), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]))
end
if lead then leave(lead, id) end
return 1
