-- Gives a leased job of another producer its place in its lead's order. ARGV: 3 id, 4 token, 5 lead, 6 milliseconds until
-- a job that is not its lead's first is looked at again, 7 delivery, or empty where it is the id or not known. Returns 1
-- where it may be worked now.
local id, lead, delivery = ARGV[3], ARGV[5], ARGV[7]
if call('GET', prefix .. id .. ':lock') ~= ARGV[4] then return 0 end
if not lead_of(id) then
  call('HSET', prefix .. id, 'lead', lead)
  if delivery ~= '' then remember(delivery, id) end
  if enlist(lead, id) == 1 then return 1 end
end
if is_first(lead, id) then return 1 end
release(id, ARGV[4])
delay(id, tonumber(ARGV[6]))
return 0
