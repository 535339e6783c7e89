//! The queue on Redis, alone and with Node's BullMQ on the other side.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod conformance;
mod forgetting;
mod hasten;
mod interop;
mod node;
mod repeats;
mod support;
mod workers;
