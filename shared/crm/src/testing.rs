//! Support for tests and simulations: a ledger, limits and breaker health records in memory, and executors
//! that fail on demand.

mod actions;
mod faults;
mod limits;
mod memory;
mod suite;

use lead::Failure;

use crate::{Authority, Guard, NotExecuted, Plan, PlanOutcome};

pub use actions::every_action;
pub use breaker::testing::MemoryHealth;
pub use faults::{Fault, FaultyExecutor, FaultyLedger, Script};
pub use limits::MemoryLimits;
pub use memory::{MemoryLedger, Row};
pub use suite::{ExecutorFixture, SuiteFault, executor_suite, suite_plan};

impl Guard {
    /// [`submit`](Self::submit) under the normal authority, for tests whose plans always reach the ledger.
    ///
    /// # Panics
    /// If the CRM is held or the plan superseded.
    pub async fn submit_normal(&self, plan: &Plan) -> Result<PlanOutcome, Failure> {
        self.submit(plan, Authority::Normal).await.map_err(|not_executed| match not_executed {
            NotExecuted::Failed(failure) => failure,
            other => panic!("the plan was not executed: {other:?}"),
        })
    }
}
