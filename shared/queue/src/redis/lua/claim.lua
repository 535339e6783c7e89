-- Gives a leased job of another producer its place in its lead's order. ARGV: 3 id, 4 token, 5 lead, 6 milliseconds until
-- a job that is not its lead's first is looked at again. Returns 1 where it may be worked now.
local id, lead = ARGV[3], ARGV[5]
if call('GET', prefix .. id .. ':lock') ~= ARGV[4] then return 0 end
if not lead_of(id) then
  call('HSET', prefix .. id, 'lead', lead)
  if enlist(lead, id) == 1 then return 1 end
end
if is_first(lead, id) then return 1 end
release(id, ARGV[4])
delay(id, tonumber(ARGV[6]))
return 0
