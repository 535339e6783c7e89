-- Dead letters are jobs of a separate queue, under the id of the original job. Our own have a field `letter`.

-- The id of a job's dead letter: the job's own id, unless another application keeps a job under it.
local function dead_letter_id(dead, id)
  local free = call('EXISTS', dead .. id) == 0 or call('HEXISTS', dead .. id, 'letter') == 1
  return free and id or 'letter-' .. id
end

-- Deletes the dead letter of a job that is processed again or was completed after all.
local function delete_dead_letter(dead, id)
  for _, letter in ipairs({ id, 'letter-' .. id }) do
    if call('HEXISTS', dead .. letter, 'letter') == 1 then
      call('DEL', dead .. letter)
      call('ZREM', dead .. 'failed', letter)
      call('LREM', dead .. 'wait', 0, letter)
      call('LREM', dead .. 'paused', 0, letter)
    end
  end
end
