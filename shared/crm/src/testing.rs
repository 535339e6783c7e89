//! For tests and simulations: a ledger and a breaker's health in memory, and outside systems that misbehave on demand.

mod actions;
mod faults;
mod memory;
mod suite;

pub use actions::every_action;
pub use breaker::testing::MemoryHealth;
pub use faults::{Fault, FaultyExecutor, FaultyLedger, Script};
pub use memory::{MemoryLedger, Row};
pub use suite::{ExecutorFixture, SuiteFault, executor_suite, suite_plan};
