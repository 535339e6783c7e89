-- Renews a lease. ARGV: 3 id, 4 token, 5 milliseconds. Returns 1, or 0 if the lease is lost.
local lock = prefix .. ARGV[3] .. ':lock'
if call('GET', lock) ~= ARGV[4] then return 0 end
call('PEXPIRE', lock, ARGV[5])
call('SREM', prefix .. 'stalled', ARGV[3])
return 1
