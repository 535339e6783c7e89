//! The providers against their fakes, and the waterfall with a memory.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod memory;
mod providers;
mod support;
mod telemetry;
