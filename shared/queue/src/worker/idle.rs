//! Adaptive waits of an idle worker.

use std::time::Duration;

use tokio::time::Instant;

/// The wait between two receives while there is work.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Each wait is the idle time divided by this. So a message that is due after a delay is received late by a
/// quarter of the delay at most, and half a minute without work takes some 30 receives.
const WAIT_DIVISOR: u32 = 4;

/// The wait of an idle worker before its next receive. It grows with the time since the last work, up to the
/// limit of the queue.
pub(super) struct Idle {
    since: Instant,
    longest: Duration,
}

impl Idle {
    pub(super) fn new(longest: Duration) -> Self {
        Self { since: Instant::now(), longest }
    }

    /// Resets the wait: there is work, or there may be.
    pub(super) fn reset(&mut self) {
        self.since = Instant::now();
    }

    pub(super) fn wait(&self) -> Duration {
        (self.since.elapsed() / WAIT_DIVISOR).min(self.longest).max(SHORTEST_WAIT)
    }
}
