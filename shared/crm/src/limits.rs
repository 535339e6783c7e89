use std::time::Duration;

use async_trait::async_trait;
use lead::{Failure, LeadId};

/// Limits on the actions sent within a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// For one lead.
    pub per_lead: u32,
    /// For all leads of one account.
    pub per_account: u32,
    /// For all leads.
    pub global: u32,
    /// The length of the sliding window.
    pub window: Duration,
}

impl Default for LimitSettings {
    /// Per minute: 10 actions for a lead, 100 for an account, 1000 in total.
    fn default() -> Self {
        Self { per_lead: 10, per_account: 100, global: 1000, window: Duration::from_mins(1) }
    }
}

/// The limit that a plan exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The limit of one lead. Only this lead waits.
    Lead,
    /// The limit of one account. Only this account's leads wait.
    Account,
    /// The limit of all leads together. All leads wait.
    Global,
}

/// The plan exceeds a limit at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The exceeded limit.
    pub scope: Scope,
    /// The time until the plan fits, if no other plan is sent.
    pub retry_after: Duration,
}

/// The reason that a reservation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// A limit is exceeded.
    Exceeded(Exceeded),
    /// The sent actions could not be counted.
    Uncounted(Failure),
}

impl From<Failure> for LimitError {
    fn from(failure: Failure) -> Self {
        Self::Uncounted(failure)
    }
}

/// A reservation for a plan's actions. Its number has a meaning only to the limits that issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation(pub u64);

/// Counts the actions sent. A plan gets a reservation for all of its actions or for none.
#[async_trait]
pub trait Limits: Send + Sync {
    /// The largest number of actions that fits all limits.
    fn largest_plan(&self) -> u32;

    /// Reserves `actions` actions.
    async fn reserve(
        &self,
        lead: &LeadId,
        account: Option<&str>,
        actions: u32,
    ) -> Result<Reservation, LimitError>;

    /// Releases `actions` actions of a reservation of the same lead and account, because they were not sent.
    /// If the release fails, the reservation ends as the window slides on.
    async fn release(&self, lead: &LeadId, account: Option<&str>, reservation: Reservation, actions: u32);
}
