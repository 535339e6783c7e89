-- Adds a leased job of another producer to its lead's order. ARGV: 3 id, 4 token, 5 lead, 6 milliseconds
-- after which a job that is not its lead's first is checked again, 7 delivery id, or empty if it equals the
-- job's id or is not known. Returns 1 if the job may be processed now.
local id, lead, delivery = ARGV[3], ARGV[5], ARGV[7]
if call('GET', prefix .. id .. ':lock') ~= ARGV[4] then return 0 end
if not lead_of(id) then
  call('HSET', prefix .. id, 'lead', lead)
  if delivery ~= '' then set_alias(delivery, id) end
  if append_to_order(lead, id) == 1 then return 1 end
end
if is_first(lead, id) then return 1 end
release(id, ARGV[4])
delay(id, tonumber(ARGV[6]))
return 0
