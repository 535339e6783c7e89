//! Durable lead queues with order per lead.
//!
//! A [`LeadQueue`] keeps messages until someone says what became of them. Messages of one lead (one group) are
//! received one at a time and in the order they were sent; leads do not wait for each other. What becomes of a
//! failed message is decided in one place, [`settle_failed`], the same for every backend; a [`Worker`]
//! applies it.

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "database")]
mod database;
mod message;
#[cfg(feature = "redis")]
mod redis;
mod settlement;
#[cfg(feature = "spool")]
mod spool;
#[cfg(feature = "sqs")]
mod sqs;
mod worker;

#[cfg(feature = "database")]
pub use self::database::DatabaseQueue;
#[cfg(feature = "redis")]
pub use self::redis::{RedisOptions, RedisQueue, RedisUrlError};
#[cfg(feature = "spool")]
pub use self::spool::{Abandoned, Park, Spool, SpoolError};
pub use message::{Depth, Message, Pause, QueueError, Receipt, Restored, Sent};
pub use settlement::{
    MAX_ATTEMPTS, MAX_LOSSES, MAX_STORAGE_FAILURES, Settlement, backoff, settle_counted, settle_failed,
};
#[cfg(all(feature = "sqs", feature = "database"))]
pub use sqs::DatabaseLedger;
#[cfg(feature = "sqs")]
pub use sqs::{
    COPY_AT_RECEIVE, Ended, Fifo, Ledger, MAX_RECEIVE_COUNT, MemoryLedger, Received, Sqs, SqsClient,
    SqsQueue, Tries,
};
pub use worker::{LeadHandler, Pulse, Worker};

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{DeliveryId, Dependency, LeadEvent, LeadId};

/// A queue of lead events. Implementations are shared between tasks and processes.
#[async_trait]
pub trait LeadQueue: Send + Sync + 'static {
    /// The backend's name, as logs and metrics show it: `database`, `redis` or `sqs`.
    fn backend(&self) -> &'static str;

    /// Stores an event durably before returning. The same delivery again, while the first is still in the queue,
    /// is a duplicate and stores nothing.
    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError>;

    /// Sends an event that the store knows to be accepted and not finished, unless the queue knows what became of it: where
    /// workers of other applications share the queue, they tell nobody else.
    async fn restore(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        Ok(match self.send(event).await? {
            Sent::Accepted => Restored::Sent,
            Sent::Duplicate => Restored::Waiting,
        })
    }

    /// The same for an event of which the caller knows that the queue has lost it: a backend that cannot tell sends it at once.
    async fn restore_lost(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        self.restore(event).await
    }

    /// Asks the queue for an answer: whether it can be reached, and lets us in.
    async fn ping(&self) -> Result<(), QueueError> {
        self.pauses().await.map(drop)
    }

    /// Leases up to `max` messages, the oldest ready groups first, at most one of each group. Each stays invisible
    /// for the visibility timeout, or until it is settled. Empty when nothing is ready or consumption is paused.
    ///
    /// Returns at once or after the backend's own poll (at most some seconds).
    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError>;

    /// Renews a lease for another visibility timeout. [`QueueError::LeaseLost`] when it is no longer ours.
    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Says what became of a leased message. [`QueueError::LeaseLost`] when it is no longer ours: nothing changes.
    /// A lease that has run out, while nobody else has received the message, may still be honoured.
    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError>;

    /// Stops consumption for every worker until [`resume`](Self::resume), because of a dependency that is to be
    /// probed at `until`. Sending goes on. Pausing again for the same dependency moves `until`.
    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError>;

    /// Ends the pause for one dependency. Consumption goes on once no pause is left.
    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError>;

    /// Puts a lead that waits before every other, with all its messages in their order; one that waits for a delay waits no
    /// more. Meant for a pause: what is hot is then received first when it ends. False where nothing was moved: the lead
    /// is not waiting, is before the others already, or the backend cannot do it.
    ///
    /// SQS cannot: FIFO hands out groups as it likes.
    async fn hasten(&self, lead: &LeadId) -> Result<bool, QueueError> {
        let _ = lead;
        Ok(false)
    }

    /// Removes every message of a lead that nobody holds, also finished ones that the backend keeps for a while; with `apply`
    /// off they are only counted. `deliveries` are those of the lead that are known. How many there were.
    ///
    /// Only Redis has to: the messages of the database queue are removed with the rows of the lead, and nothing can be taken
    /// out of SQS by what it is about.
    async fn forget(&self, lead: &LeadId, deliveries: &[DeliveryId], apply: bool) -> Result<u64, QueueError> {
        let _ = (lead, deliveries, apply);
        Ok(0)
    }

    /// The pauses in force.
    async fn pauses(&self) -> Result<Vec<Pause>, QueueError>;

    /// How much is waiting. For people and metrics: it may cost more, the more there is.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// How long a received message stays invisible. Workers renew at a third of it.
    fn visibility_timeout(&self) -> Duration;

    /// The longest wait of an idle worker between two receives, where nothing wakes it.
    fn longest_idle_wait(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Returns when this handle has sent a message or ended a pause since the last call: a worker then receives at once.
    /// Never, where a backend's waits are too short for that to matter.
    async fn has_news(&self) {
        std::future::pending::<()>().await;
    }
}
