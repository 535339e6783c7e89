//! Support for tests and simulations: a ledger, limits and breaker health records in memory, and executors
//! that fail on demand.

mod actions;
mod faults;
mod limits;
mod memory;
mod suite;

use lead::{Failure, LeadId};

use crate::{Authority, Effect, Executor, Guard, NotExecuted, Plan, PlanOutcome, PlannedAction};

pub use actions::{every_action, full_plan};
pub use breaker::testing::MemoryHealth;
pub use faults::{Fault, FaultyExecutor, FaultyLedger, Script};
pub use limits::MemoryLimits;
pub use memory::{MemoryLedger, Row};
pub use suite::{ExecutorFixture, SuiteFault, executor_suite, suite_plan};

/// The class and the code of a failure, such as `deferral crm_busy`.
pub fn named(failure: &Failure) -> String {
    format!("{:?} {}", failure.class(), failure.code).to_lowercase()
}

/// Executes a plan whose actions must all succeed.
///
/// # Panics
/// If an action fails or has no result.
pub async fn execute_ok(executor: &dyn Executor, plan: &Plan) -> Vec<Effect> {
    let results = executor.execute(&plan.lead_id, &plan.actions).await;
    assert_eq!(results.len(), plan.actions.len(), "one result for each action: {results:?}");
    let results = results.into_iter().zip(&plan.actions);
    let effect = |(result, planned): (Result<Effect, Failure>, &PlannedAction)| {
        result.unwrap_or_else(|failure| panic!("{}: {failure}", planned.action.kind()))
    };
    results.map(effect).collect()
}

/// Asserts that the effect of each action is found.
///
/// # Panics
/// If one is not found.
pub async fn assert_found(executor: &dyn Executor, lead: &LeadId, actions: &[PlannedAction]) {
    for planned in actions {
        let found = executor.find(lead, planned).await;
        assert!(matches!(found, Ok(Some(_))), "{}: {found:?}", planned.action.kind());
    }
}

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
