//! The worker's heartbeat, for health checks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The longest time between two heartbeats of a healthy worker, unless its queue allows a longer idle wait or
/// an operation that it waits for hangs.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// The time of a worker's last heartbeat. Clones share it.
#[derive(Clone, Default)]
pub struct Heartbeat(Arc<Mutex<Option<Instant>>>);

impl Heartbeat {
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since the last heartbeat; `None` if the worker has not started.
    pub fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|beat| beat.elapsed())
    }
}
