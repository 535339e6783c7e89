use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use queue::{Received, Tries};
use tokio::time::Instant;

use super::Times;

/// How long a message waits at least and at most because a dependency is away: the janitor looks every minute, and what
/// is resumed early should not come late.
pub(super) const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15 * 60));

/// What all of a batch's messages share.
pub(super) struct Batch {
    pub(super) tries: HashMap<String, Tries>,
    /// No work goes on after this.
    pub(super) until: Instant,
    /// No work begins after this: what begins has at least half of the time.
    pub(super) begin_until: Instant,
    /// Set once no more work is to begin.
    paused: Mutex<Option<Pause>>,
    /// The SQS ids of what does not come again. All else does.
    settled: Mutex<HashSet<String>>,
    /// Receipts of what comes again, and how long they are to be hidden.
    hidden: Mutex<Vec<(String, Duration)>>,
}

/// Why no more work of a batch begins.
#[derive(Clone, Copy)]
pub(super) enum Pause {
    /// A dependency is away, and messages wait so long, which is within [`PAUSE_BOUNDS`].
    Away(Duration),
    /// A limit on all leads is full for so long.
    AtLimit(Duration),
}

impl Pause {
    /// For a dependency that asked us to wait so long.
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
            hidden: Mutex::default(),
        }
    }

    /// How often a message was tried, as known at the beginning of the batch.
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

    /// Before its end is noted, which may take for ever: the message is done with.
    pub(super) fn settle(&self, message: &Received) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(message.message_id.clone());
    }

    pub(super) fn comes_again(&self, message: &Received, wait: Duration) {
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        hidden.push((message.receipt.clone(), wait));
    }

    /// The receipts of what comes again, each with its wait; not twice.
    pub(super) fn take_hidden(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut *self.hidden.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn into_settled(self) -> HashSet<String> {
        self.settled.into_inner().unwrap_or_else(PoisonError::into_inner)
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
