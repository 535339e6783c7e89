//! What is to be done now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When something was last done.
#[derive(Default)]
pub(super) struct Timer(Mutex<Option<Instant>>);

impl Timer {
    /// Whether it is to be done now; if so, it counts as done.
    pub(super) fn is_due(&self, interval: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= interval);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
