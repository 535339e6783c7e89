//! Durable lead queues that keep the order of each lead's messages.
//!
//! A [`LeadQueue`] stores messages until they are settled. Messages of one lead (one group) are received one
//! at a time, in the order in which they were sent; different leads do not wait for each other.
//! [`settle_failed`] is the one policy for failed messages, for every backend. A [`Worker`] applies it to
//! messages that it receives, and a [`Processor`] to the batches that Lambda receives from SQS.

mod attempt;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "database")]
mod database;
mod message;
#[cfg(feature = "redis")]
mod redis;
mod settings;
mod settlement;
#[cfg(feature = "spool")]
mod spool;
#[cfg(feature = "sqs")]
mod sqs;
mod worker;

#[cfg(feature = "database")]
pub use self::database::{DatabaseQueue, LEAD_ROWS};
#[cfg(feature = "redis")]
pub use self::redis::{RedisOptions, RedisQueue, RedisUrlError};
#[cfg(feature = "spool")]
pub use self::spool::{Abandoned, Park, Spool, SpoolError};
pub use attempt::attempt;
pub use message::{Depth, Message, Pause, QueueError, Receipt, Removed, Restored, Sent};
pub use settings::{Backend, RedisSettings, Settings, SqsSettings};
pub use settlement::{MAX_ATTEMPTS, MAX_LOSSES, MAX_STORAGE_FAILURES, Settlement, backoff, settle_failed};
#[cfg(all(feature = "sqs", feature = "database"))]
pub use sqs::DatabaseLedger;
#[cfg(all(feature = "sqs", feature = "conformance"))]
pub use sqs::MemoryLedger;
#[cfg(feature = "sqs")]
pub use sqs::{
    COPY_AT_RECEIVE, Ended, Fifo, Ledger, Limit, MAX_RECEIVE_COUNT, Processed, Processor, Received, Sqs,
    SqsClient, SqsQueue, Times, Tries, release_all,
};
pub use worker::{Heartbeat, LeadHandler, Worker};

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{DeliveryId, Dependency, LeadEvent, LeadId};

/// A queue of lead events. Implementations are shared between tasks and processes.
#[async_trait]
pub trait LeadQueue: Send + Sync + 'static {
    /// The backend's name in logs and metrics: `database`, `redis` or `sqs`.
    fn backend(&self) -> &'static str;

    /// Stores an event durably before returning. A delivery that is still in the queue is a duplicate and
    /// stores nothing.
    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError>;

    /// Sends an event that the store has as accepted and unfinished, unless the queue knows its outcome:
    /// workers of other applications that share the queue do not report to the store.
    async fn restore(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        Ok(match self.send(event).await? {
            Sent::Accepted => Restored::Sent,
            Sent::Duplicate => Restored::Waiting,
        })
    }

    /// Restores an event that the caller knows to be lost from the queue. A backend that cannot look up a
    /// delivery sends the event at once.
    async fn restore_lost(&self, event: &LeadEvent) -> Result<Restored, QueueError> {
        self.restore(event).await
    }

    /// Checks that the queue can be reached and accepts the credentials.
    async fn ping(&self) -> Result<(), QueueError> {
        self.pauses().await.map(drop)
    }

    /// Leases up to `max` messages, at most one of each group, from the groups that have been ready longest.
    /// Each message stays invisible for the visibility timeout, or until it is settled. Returns none if
    /// nothing is ready or consumption is paused.
    ///
    /// Returns at once or after the backend's own poll (some seconds at most).
    async fn receive(&self, max: usize) -> Result<Vec<Message>, QueueError>;

    /// Renews a lease for another visibility timeout. Fails with [`QueueError::LeaseLost`] if the lease has
    /// ended.
    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Settles a leased message. Fails with [`QueueError::LeaseLost`], without any change, if the lease has
    /// ended. An expired lease may still be accepted while no other worker has received the message.
    async fn settle(&self, receipt: &Receipt, settlement: &Settlement) -> Result<(), QueueError>;

    /// Releases a leased message that was not tried: it is ready at once, ahead of others where the backend
    /// determines the order, and its counts stay as they are. Fails like [`settle`](Self::settle).
    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Pauses consumption for every worker until [`resume`](Self::resume), because of a dependency that is to
    /// be probed at `until`. Sending continues. Another pause for the same dependency moves `until`.
    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError>;

    /// Ends the pause for one dependency. Consumption continues once no pause is left.
    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError>;

    /// Moves a waiting lead, with all its messages in their order, ahead of all leads that are not
    /// prioritized, and ends its delay. Meant for a pause: prioritized leads are received first when it ends.
    /// Returns false if nothing was moved: the lead is not waiting, is prioritized already, or the backend
    /// does not support it.
    ///
    /// SQS does not: FIFO queues choose the order of groups themselves.
    async fn prioritize(&self, lead: &LeadId) -> Result<bool, QueueError> {
        let _ = lead;
        Ok(false)
    }

    /// Removes every message of a lead that is not leased, including finished ones that the backend still
    /// keeps. Without `apply` it only counts them. `deliveries` are the known deliveries of the lead. Returns
    /// the number of messages.
    ///
    /// Only the Redis queue implements this: the messages of the database queue are removed together with the
    /// rows of the lead, and SQS cannot remove messages by their content.
    async fn forget(&self, lead: &LeadId, deliveries: &[DeliveryId], apply: bool) -> Result<u64, QueueError> {
        let _ = (lead, deliveries, apply);
        Ok(0)
    }

    /// Removes the dead letters that the backend itself keeps of these deliveries. Returns their number.
    ///
    /// Only the Redis queue implements this: the others keep none, or, as SQS, for a limited time.
    async fn remove_dead_letters(&self, ids: &[&str]) -> Result<u64, QueueError> {
        let _ = ids;
        Ok(0)
    }

    /// The active pauses.
    async fn pauses(&self) -> Result<Vec<Pause>, QueueError>;

    /// The amount of work in the queue. For people and metrics: the cost may grow with the backlog.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// The time that a received message stays invisible. Workers renew the lease at a third of it.
    fn visibility_timeout(&self) -> Duration;

    /// The longest wait of an idle worker between two receives, if nothing wakes it earlier.
    fn longest_idle_wait(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Returns once this handle has sent a message or ended a pause since the last call, so that an idle
    /// worker receives at once. Never returns for backends whose idle waits are too short for this to matter.
    async fn work_available(&self) {
        std::future::pending::<()>().await;
    }
}
