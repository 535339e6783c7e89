//! Interoperability with Node's BullMQ on the same queue: version 6, and version 5 if it differs.

mod attempts;
mod crashes;
mod dashboard;
mod flows;
mod jobs;
mod limits;
mod mixed;
mod order;
mod pauses;
mod restart;
mod restore;
