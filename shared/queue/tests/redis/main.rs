//! The queue on Redis, alone and shared with Node's BullMQ.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod conformance;
mod forgetting;
mod interop;
mod node;
mod prioritize;
mod repeats;
mod support;
mod workers;
