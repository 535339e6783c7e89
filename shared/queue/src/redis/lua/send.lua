-- Adds jobs. ARGV: 3 to 5 see `add.lua`; then of each job: id, data, options as JSON, lead, hash of the
-- content. Returns for each job 1, or 0 if it exists already.
local added = {}
for i = 6, #ARGV, 5 do
  added[#added + 1] = add(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
end
push_waiting()
return added
