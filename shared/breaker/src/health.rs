use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure};

/// How an outside system has been doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthRecord {
    /// Failures in a row.
    pub failures: u32,
    /// Present while the breaker is open.
    pub open: Option<Open>,
    /// When it last worked after it had failed.
    pub recovered_at: Option<Timestamp>,
    /// Whose call failed last, where the caller said who it was. Opaque here; never personal.
    pub failed_caller: Option<String>,
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The failure that opened it, or the last one that kept it open; never personal.
    pub reason: String,
    /// Since when.
    pub opened_at: Timestamp,
    /// When the system may be asked again.
    pub retry_at: Timestamp,
    /// Somebody is trying the system now, and has until `retry_at`.
    pub trial: bool,
}

/// A change to a record.
pub type HealthChange<'a> = dyn FnMut(&mut HealthRecord) + Send + 'a;

/// Where the health of outside systems is kept, so that processes share it.
#[async_trait]
pub trait Health: Send + Sync {
    /// The record of a system; the default where there is none.
    async fn load(&self, dependency: &Dependency) -> Result<HealthRecord, Failure>;

    /// Reads, changes and writes the record as one step that no other change comes between.
    async fn update(&self, dependency: &Dependency, change: &mut HealthChange<'_>) -> Result<(), Failure>;
}
