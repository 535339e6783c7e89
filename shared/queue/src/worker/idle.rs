use std::time::Duration;

use tokio::time::Instant;

/// The wait between two receives while there is work.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Waits are this part of the time without work. So a message that comes back after a delay is late by a quarter of the delay at
/// most, and half a minute without work is some 30 receives.
const PART: u32 = 4;

/// The wait of an idle worker until its next receive. It grows with the time since there was work last, up to what the queue
/// allows.
pub(super) struct Idle {
    since: Instant,
    longest: Duration,
}

impl Idle {
    pub(super) fn new(longest: Duration) -> Self {
        Self { since: Instant::now(), longest }
    }

    /// There is work, or there may be.
    pub(super) fn ends(&mut self) {
        self.since = Instant::now();
    }

    pub(super) fn wait(&self) -> Duration {
        (self.since.elapsed() / PART).min(self.longest).max(SHORTEST_WAIT)
    }
}
