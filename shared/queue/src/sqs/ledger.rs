use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure, Stage};

use crate::{Pause, QueueError};

/// What is known of the tries of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// How often it failed.
    pub attempts: u32,
    /// How often a try ended without a word, as when the process died, since the last one that was deferred: a message that waits
    /// for hours is not to blame for every process that died around it.
    pub losses: u32,
    /// Somebody is trying it now, or was and died.
    pub is_held: bool,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The message is settled: nothing of it has to be known any more.
    Settled,
    /// It failed, which counts.
    Failed,
    /// It could not be tried, which does not count.
    Deferred,
}

impl Ended {
    /// How a try ended that is made again after a failure. Attempts at a stage are counted in the lead's own row, which ends it
    /// after so many; what counts here may be the process' doing. Counted twice, the attempts of several stages together would
    /// look like as many failures as the redrive policy allows, and the message would not be copied in time.
    pub fn after(failure: &Failure) -> Self {
        if failure.stage == Stage::Other { Self::Failed } else { Self::Deferred }
    }
}

/// What SQS cannot keep for us, shared by every process that works on one queue.
///
/// A try is begun and ended under a lease. Who has lost it, because somebody else began a try since, ends nothing.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// What is known of some messages; nothing is known of those that are missing in the answer.
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError>;

    /// Begins a try, and says what came before it. A try that was never ended is a loss from now on.
    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError>;

    /// Whether the lease is still held.
    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError>;

    /// Ends a try. False where the lease was lost: then nothing changes.
    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError>;

    /// When a message was last tried, or sent again; none where neither is known.
    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError>;

    /// Notes that a message was sent again.
    async fn note_sent(&self, key: &str) -> Result<(), QueueError>;

    /// Forgets a message, whoever holds it, so that all its attempts are before it.
    async fn forget(&self, key: &str) -> Result<(), QueueError>;

    /// Stops consumption, as [`LeadQueue::pause`](crate::LeadQueue::pause).
    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError>;

    /// Ends a pause, as [`LeadQueue::resume`](crate::LeadQueue::resume).
    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError>;

    /// The pauses in force.
    async fn pauses(&self) -> Result<Vec<Pause>, QueueError>;
}
