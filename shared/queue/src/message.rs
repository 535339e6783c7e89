//! Messages, their leases, and the types that queue operations return.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lead::{Dependency, Failure, Stage};

/// A leased message. Its `Debug` does not show the body.
#[derive(Clone)]
pub struct Message {
    /// The delivery id of messages sent by [`LeadQueue`](crate::LeadQueue); the backend's own id for messages
    /// of other producers.
    pub id: String,
    /// The message group: the lead id.
    pub group: String,
    /// The event as JSON. The backend does not check it.
    pub body: String,
    /// The number of this attempt, from 1. Deferrals and lost leases do not count.
    pub attempt: u32,
    /// The number of leases of this message, since its last deferral, that expired without a settlement
    /// because the worker died.
    pub losses: u32,
    /// The time at which the message was sent.
    pub sent_at: Timestamp,
    /// The message was dead-lettered, and a person requeued it in the backend's own tool, such as a
    /// dashboard.
    pub redriven: bool,
    /// The lease, for settling the message.
    pub receipt: Receipt,
    /// Whether the handler has removed the message from its queue itself, together with its last write.
    pub removed: Removed,
}

/// A mark on a message, shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Removed(Arc<AtomicBool>);

impl Removed {
    /// Sets the mark.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .field("losses", &self.losses)
            .finish_non_exhaustive()
    }
}

/// Proof of a lease, opaque to all code but the backend that issued it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The group, or the backend's id of the message.
    pub key: String,
    /// The lease token.
    pub token: String,
}

/// The outcome of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The event was added to the queue.
    Accepted,
    /// The delivery was in the queue already.
    Duplicate,
}

/// The outcome of restoring a delivery that the store has as unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The delivery was missing and has been sent again.
    Sent,
    /// The delivery is in the queue.
    Waiting,
    /// A worker of another application on the same queue has completed it.
    WorkedElsewhere,
    /// A worker of another application on the same queue has failed it for good.
    FailedElsewhere {
        /// The number of attempts.
        attempts: u32,
    },
}

/// A pause of consumption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The dependency that caused the pause.
    pub dependency: Dependency,
    /// The reason, for an operator.
    pub reason: String,
    /// The time at which the pause began.
    pub since: Timestamp,
    /// The time at which to probe the dependency.
    pub until: Timestamp,
}

/// The amount of work in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages in the queue, leased ones included. A backend may stop counting at some 100,000 leads.
    pub messages: u64,
    /// Messages that are leased now.
    pub in_flight: u64,
    /// The age of the oldest message.
    pub oldest_age: Duration,
}

/// The failure of a queue operation.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease has ended; another worker may have the message.
    #[error("the lease on the message was lost")]
    LeaseLost,
    /// The message is larger than the backend ever accepts. The value is its size in bytes.
    #[error("the message of {0} bytes exceeds the queue's size limit")]
    TooLarge(usize),
    /// The backend refuses this message permanently, such as for its size on a queue with a lower limit than
    /// others.
    #[error("the queue refuses the message: {0}")]
    Refused(String),
    /// The backend cannot be reached, or an operation on it failed.
    #[error("queue: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl QueueError {
    /// The dependency name of the queue itself.
    pub const DEPENDENCY: Dependency = Dependency::new("queue");

    /// Wraps a backend's own error.
    pub fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let failure = match error {
            QueueError::TooLarge(_) => Failure::permanent("message_too_large", error.to_string()),
            QueueError::Refused(_) => Failure::permanent("message_refused", error.to_string()),
            QueueError::LeaseLost | QueueError::Unavailable(_) => {
                Failure::transient("queue_unavailable", error.to_string())
            }
        };
        failure.on(QueueError::DEPENDENCY).at(Stage::Storage)
    }
}
