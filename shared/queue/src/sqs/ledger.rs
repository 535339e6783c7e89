//! The ledger: the state of messages that SQS cannot store.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure, Stage};

use crate::{Pause, QueueError};

/// The tries of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// The number of failed attempts.
    pub attempts: u32,
    /// The number of tries that never ended, because the process died, since the last deferral. A message
    /// that waits for hours must not be blamed for every process that died in the meantime.
    pub losses: u32,
    /// A try is in progress, or its process died.
    pub is_held: bool,
}

/// The end of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The message is settled: its entry is deleted.
    Settled,
    /// The try failed and counts as an attempt.
    Failed,
    /// The try was deferred and does not count as an attempt. It ends the row of losses.
    Deferred,
    /// The message was released untried.
    Released,
}

impl Ended {
    /// The end of a try that is retried after `failure`. Attempts at a stage are counted in the lead's own
    /// row, which ends the lead after the last one; failures outside the stages are counted here, as they may
    /// be caused by the process. If failures at stages counted here as well, the attempts of several stages
    /// together would reach the limit of the redrive policy, and the message would not be copied in time.
    pub fn after(failure: &Failure) -> Self {
        if failure.stage == Stage::Other { Self::Failed } else { Self::Deferred }
    }
}

/// The state that SQS cannot store, shared by every process that works on one queue.
///
/// A try begins and ends under a lease. A process that has lost the lease, because another one has begun a
/// try since, cannot end it.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// The tries of some messages. Messages without an entry are missing from the answer.
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError>;

    /// Begins a try. Returns the counts of the tries before it. A try that was begun earlier and never ended
    /// counts as a loss.
    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError>;

    /// Whether the lease is still held.
    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError>;

    /// Ends a try. Returns false, without any change, if the lease was lost.
    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError>;

    /// The time of a message's last try or repeated send; `None` if neither is recorded.
    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError>;

    /// Records that a message was sent again.
    async fn note_sent(&self, key: &str) -> Result<(), QueueError>;

    /// Deletes the entry of a message, even if it is leased: the message starts again with all its attempts.
    async fn forget(&self, key: &str) -> Result<(), QueueError>;

    /// Pauses consumption, as [`LeadQueue::pause`](crate::LeadQueue::pause).
    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError>;

    /// Ends a pause, as [`LeadQueue::resume`](crate::LeadQueue::resume).
    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError>;

    /// The active pauses.
    async fn pauses(&self) -> Result<Vec<Pause>, QueueError>;
}
