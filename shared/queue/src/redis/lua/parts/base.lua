-- The start of every script. ARGV[1] is the prefix of BullMQ's keys of the queue (`bull:lead-processing:`),
-- ARGV[2] the prefix of our own keys, which differs because BullMQ takes any key under its own prefix for a
-- job. BullMQ's names and states are described at https://docs.bullmq.io.
--
-- A script includes only the parts that it needs, since they run on every call.
local call = redis.call
local prefix, ours = ARGV[1], ARGV[2]
