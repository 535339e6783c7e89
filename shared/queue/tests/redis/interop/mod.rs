//! Node's BullMQ, version 6 and where it differs version 5, works on the same queue.

mod attempts;
mod board;
mod deaths;
mod elsewhere;
mod entangled;
mod jobs;
mod limits;
mod mixed;
mod order;
mod pauses;
mod restart;
