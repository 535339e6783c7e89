-- Removes our own dead letters. ARGV: 3 key prefix of the dead letter queue; then the ids of the original jobs.
-- Returns the number of dead letters.
local dead, found = ARGV[3], 0
for i = 4, #ARGV do
  for _, letter in ipairs({ ARGV[i], 'letter-' .. ARGV[i] }) do
    if call('HEXISTS', dead .. letter, 'letter') == 1 then found = found + 1 end
  end
  delete_dead_letter(dead, ARGV[i])
end
return found
