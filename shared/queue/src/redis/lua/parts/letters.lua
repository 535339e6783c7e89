-- Dead letters are jobs of a queue of their own, under the id of the job they were. Those that are ours have a field
-- `letter`.

-- Where the dead letter of a job is kept: under the job's own id, unless another maker keeps something there.
local function letter_of(dead, id)
  local free = call('EXISTS', dead .. id) == 0 or call('HEXISTS', dead .. id, 'letter') == 1
  return free and id or 'letter-' .. id
end

-- What is worked again, or done after all, is no dead letter any more.
local function drop_letter(dead, id)
  for _, letter in ipairs({ id, 'letter-' .. id }) do
    if call('HEXISTS', dead .. letter, 'letter') == 1 then
      call('DEL', dead .. letter)
      call('ZREM', dead .. 'failed', letter)
      call('LREM', dead .. 'wait', 0, letter)
      call('LREM', dead .. 'paused', 0, letter)
    end
  end
end
