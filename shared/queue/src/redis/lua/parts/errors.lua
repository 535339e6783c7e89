-- Adds an error to those of a job's attempts. The last ten are kept.
local function stacktrace(stored, reason)
  local readable, stack = pcall(cjson.decode, stored or '[]')
  if not readable or type(stack) ~= 'table' then stack = {} end
  table.insert(stack, reason)
  while #stack > 10 do table.remove(stack, 1) end
  return cjson.encode(stack)
end
