//! A timer for periodic work.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time of the last run.
#[derive(Default)]
pub(super) struct Timer(Mutex<Option<Instant>>);

impl Timer {
    /// Whether the work is due. If so, the timer restarts.
    pub(super) fn is_due(&self, interval: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= interval);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
