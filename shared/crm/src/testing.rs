//! Support for tests and simulations: a ledger and breaker health records in memory, and executors that fail
//! on demand.

mod actions;
mod faults;
mod memory;
mod suite;

pub use actions::every_action;
pub use breaker::testing::MemoryHealth;
pub use faults::{Fault, FaultyExecutor, FaultyLedger, Script};
pub use memory::{MemoryLedger, Row};
pub use suite::{ExecutorFixture, SuiteFault, executor_suite, suite_plan};
