//! The health of outside systems, as the circuit breaker stores it.

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure, vocabulary};

/// The recent failures of an outside system and the state of its circuit breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthRecord {
    /// Consecutive failures.
    pub failures: u32,
    /// Present while the breaker is open or half-open.
    pub open: Option<Open>,
    /// The time of the last success that followed a failure.
    pub recovered_at: Option<Timestamp>,
    /// The caller of the last failed call, if that caller gave its name. Opaque here; never personal.
    pub failed_caller: Option<String>,
}

/// The state of an open or half-open breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The code of the failure that opened the breaker, or of the last one that kept it open; never personal.
    pub reason: String,
    /// The class of that failure.
    pub cause: OpenCause,
    /// The time at which the breaker opened.
    pub opened_at: Timestamp,
    /// The time from which the next call may be made.
    pub retry_at: Timestamp,
    /// The breaker is half-open: one caller is probing the system and has until `retry_at` to report the
    /// outcome.
    pub probing: bool,
}

vocabulary! {
    /// The class of the failure that opened a breaker, or of the last one that kept it open.
    OpenCause {
        /// Consecutive failures: the system may work again at any time.
        Failures = "failures",
        /// The system named a time to wait.
        Wait = "wait",
        /// The system cannot be used before a person acts.
        Operator = "operator",
    }
}

/// A change to a health record.
pub type HealthChange<'a> = dyn FnMut(&mut HealthRecord) + Send + 'a;

/// A store for the health of outside systems, shared between processes.
#[async_trait]
pub trait Health: Send + Sync {
    /// Loads the record of a system, or the default if there is none.
    async fn load(&self, dependency: &Dependency) -> Result<HealthRecord, Failure>;

    /// Reads, changes and writes the record atomically.
    async fn update(&self, dependency: &Dependency, change: &mut HealthChange<'_>) -> Result<(), Failure>;
}
