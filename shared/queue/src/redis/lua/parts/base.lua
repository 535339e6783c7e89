-- What every script starts with. ARGV[1] is what BullMQ's keys of the queue start with (`bull:lead-processing:`), ARGV[2]
-- what ours start with: BullMQ takes any key of its own prefix for a job. BullMQ's names and states are described at
-- https://docs.bullmq.io.
--
-- A script gets only the parts it needs, since they are run again every time.
local call = redis.call
local prefix, ours = ARGV[1], ARGV[2]
