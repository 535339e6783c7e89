//! The state that the messages of a batch share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Processed, Times};
use crate::{Received, Tries};

/// The bounds of a message's wait for a dependency. The janitor probes every minute, and an early recovery
/// must not cause a long delay.
pub(super) const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15 * 60));

/// The state that the messages of a batch share.
pub(super) struct Batch {
    pub(super) tries: HashMap<String, Tries>,
    /// All work stops at this time.
    pub(super) until: Instant,
    /// No work begins after this time, so that work that begins has at least half of the total time.
    pub(super) begin_until: Instant,
    /// Set once no more work may begin.
    paused: Mutex<Option<Pause>>,
    /// The SQS ids of settled messages. SQS delivers all others again.
    settled: Mutex<HashSet<String>>,
    dead_lettered: AtomicUsize,
    /// The receipts of released messages, with the time for which they stay hidden.
    hidden: Mutex<Vec<(String, Duration)>>,
}

/// The reason that no more work of a batch begins.
#[derive(Clone, Copy)]
pub(super) enum Pause {
    /// A dependency is down; messages wait this long, within [`PAUSE_BOUNDS`].
    Away(Duration),
    /// A limit on all leads is full for this long.
    AtLimit(Duration),
}

impl Pause {
    /// A pause for a dependency, with the wait that it asked for.
    pub(super) fn away(wait: Duration) -> Self {
        Self::Away(wait.clamp(PAUSE_BOUNDS.0, PAUSE_BOUNDS.1))
    }
}

impl Batch {
    pub(super) fn new(times: Times) -> Self {
        let now = Instant::now();
        Self {
            tries: HashMap::new(),
            until: times.work_until,
            begin_until: now + times.work_until.saturating_duration_since(now) / 2,
            paused: Mutex::default(),
            settled: Mutex::default(),
            dead_lettered: AtomicUsize::default(),
            hidden: Mutex::default(),
        }
    }

    /// The number of attempts of a message, as known at the beginning of the batch.
    pub(super) fn spent(&self, message: &Received) -> u32 {
        let tries = self.tries.get(&message.key).copied().unwrap_or_default();
        tries.attempts.saturating_add(tries.losses).saturating_add(u32::from(tries.is_held))
    }

    pub(super) fn pause(&self, pause: Pause) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(pause);
    }

    pub(super) fn is_paused(&self) -> Option<Pause> {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called before the ledger records the end of the attempt, because that call may hang.
    pub(super) fn settle(&self, message: &Received) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(message.message_id.clone());
    }

    /// Settles a message that has moved to the dead letter queue.
    pub(super) fn settle_dead(&self, message: &Received) {
        self.settle(message);
        self.dead_lettered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hide(&self, message: &Received, wait: Duration) {
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        hidden.push((message.receipt.clone(), wait));
    }

    /// Takes the receipts of released messages, each with its wait.
    pub(super) fn take_hidden(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut *self.hidden.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The result of the batch with these messages.
    pub(super) fn into_processed(self, mut ids: Vec<String>) -> Processed {
        let settled = self.settled.into_inner().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|id| !settled.contains(id));
        Processed { unsettled: ids, dead_lettered: self.dead_lettered.into_inner() }
    }
}

/// The messages of each group, in order; the groups in the order of their first messages.
pub(super) fn groups(messages: Vec<Received>) -> Vec<Vec<Received>> {
    let mut groups: Vec<Vec<Received>> = Vec::new();
    for message in messages {
        match groups.iter_mut().find(|group| group[0].group == message.group) {
            Some(group) => group.push(message),
            None => groups.push(vec![message]),
        }
    }
    groups
}
