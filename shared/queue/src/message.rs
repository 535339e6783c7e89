use std::time::Duration;

use jiff::Timestamp;
use lead::{Dependency, Failure, Stage};

/// A leased message. Its `Debug` does not show the body.
#[derive(Clone)]
pub struct Message {
    /// The delivery id, where we sent it; the backend's own id for messages of other producers.
    pub id: String,
    /// The message group: the lead id.
    pub group: String,
    /// The event as JSON, as far as the backend knows.
    pub body: String,
    /// Which attempt this is, from 1. Deferrals and lost leases do not count.
    pub attempt: u32,
    /// How often a worker died with this message, going by leases that ended without a word.
    pub losses: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Somebody wants it worked although it was given up, and said so to the backend and not to us: at a dashboard.
    pub redriven: bool,
    /// What to settle it with.
    pub receipt: Receipt,
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

/// Proof of a lease, opaque to everyone but the backend that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The group, or the backend's address of the message.
    pub key: String,
    /// The lease.
    pub token: String,
}

/// What sending did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The event is in the queue.
    Accepted,
    /// The same delivery is in the queue already.
    Duplicate,
}

/// What a queue knows of a delivery that the store holds open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It was not there and is again.
    Sent,
    /// It is there.
    Waiting,
    /// A worker of another application on the same queue has done it.
    WorkedElsewhere,
    /// A worker of another application on the same queue has given it up.
    FailedElsewhere {
        /// How often it was tried.
        attempts: u32,
    },
}

/// A pause of consumption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What it is for.
    pub dependency: Dependency,
    /// Why, for an operator.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When to probe.
    pub until: Timestamp,
}

/// How much is waiting in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages stored, leased ones included. A backend may stop counting at some 100,000 leads.
    pub messages: u64,
    /// Messages leased now.
    pub in_flight: u64,
    /// The age of the oldest message.
    pub oldest_age: Duration,
}

/// Why a queue could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease ended, or somebody else has the message now.
    #[error("the lease on the message was lost")]
    LeaseLost,
    /// The backend takes no message of this size, now or later.
    #[error("the message is {0} bytes long, more than the queue takes")]
    TooLarge(usize),
    /// The backend refuses this message for what it is, such as its size on a queue that takes less than others.
    #[error("the queue refuses the message: {0}")]
    Refused(String),
    /// The backend cannot be reached or refused.
    #[error("queue: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl QueueError {
    /// The queue that every lead depends on.
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
