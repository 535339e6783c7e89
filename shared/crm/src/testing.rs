//! For tests and simulations: a ledger and a breaker's health in memory, and outside systems that misbehave on demand.

mod actions;
mod faults;
mod memory;

pub use actions::every_action;
pub use faults::{Fault, FaultyExecutor, FaultyLedger, Script};
pub use memory::{MemoryHealth, MemoryLedger, Row};
