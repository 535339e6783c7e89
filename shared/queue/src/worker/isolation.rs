//! Isolation of messages that a worker has died with.
//!
//! Several messages were in flight when the worker died, and any of them may be the cause. Each is tried
//! alone in its process from then on, so that the next death has one cause.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::Message;

/// Decides which messages of one worker run beside others.
#[derive(Default)]
pub(super) struct Isolation(Arc<RwLock<()>>);

/// The permission of one message to run.
pub(super) enum Turn {
    /// Beside others.
    Shared(#[expect(dead_code, reason = "held until the delivery ends")] OwnedRwLockReadGuard<()>),
    /// Alone, once all others have finished.
    Alone(Arc<RwLock<()>>),
}

impl Isolation {
    /// Whether a worker has died with the message since it was last deferred.
    pub(super) fn is_suspect(message: &Message) -> bool {
        message.losses > 0
    }

    /// The turn of a message. No other message may be given a turn until a suspect has finished.
    pub(super) async fn turn(&self, message: &Message) -> Turn {
        if Self::is_suspect(message) {
            Turn::Alone(Arc::clone(&self.0))
        } else {
            // Taken now: otherwise a suspect could begin before it, and blame it for its own crash.
            Turn::Shared(Arc::clone(&self.0).read_owned().await)
        }
    }
}

impl Turn {
    /// Waits until the message may run. It runs alone while the guard lives.
    pub(super) async fn begin(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        match self {
            Self::Shared(_) => None,
            Self::Alone(lock) => Some(Arc::clone(lock).write_owned().await),
        }
    }
}
