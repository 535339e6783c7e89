-- Returns the active pauses, as pairs of dependency and JSON. If the queue is not paused, a resume has ended
-- those recorded.
if not paused then return {} end
return call('HGETALL', ours .. 'pauses')
