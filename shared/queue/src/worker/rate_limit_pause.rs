//! Pauses of one worker that end by themselves.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// A pause of this worker alone: it receives nothing until a given time, because a limit is reached that ends
/// by itself, such as a rate limit, and every other lead would meet the same limit. A failure to store an
/// outcome starts such a pause as well. Unlike a pause of the queue, it needs no resume.
#[derive(Default)]
pub(super) struct RateLimitPause(Mutex<Option<Timestamp>>);

impl RateLimitPause {
    /// Pauses until `until`, or until the end of the current pause if that is later.
    pub(super) fn extend_to(&self, until: Timestamp) {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *end = (*end).max(Some(until));
    }

    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }
}
