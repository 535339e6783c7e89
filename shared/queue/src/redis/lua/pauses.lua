-- The pauses in force, as dependencies and what is known of each. Those of a queue that goes on were ended by a resume.
if not paused then return {} end
return call('HGETALL', ours .. 'pauses')
