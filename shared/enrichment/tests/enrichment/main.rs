//! The providers against their fakes, and the waterfall with shared state.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod providers;
mod shared_state;
mod support;
mod telemetry;
