//! Backoff and logging while the queue itself fails.

use std::time::Duration;

use crate::QueueError;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An outage of the queue itself: the waits between receives grow, and the outage is logged once.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Zero while the queue works.
    wait: Duration,
}

impl Outage {
    /// Records a failed receive and returns the wait before the next one.
    pub(super) fn wait_after(&mut self, error: &QueueError) -> Duration {
        if self.wait.is_zero() {
            tracing::error!(%error, "queue unavailable: receiving is retried until it succeeds");
            self.wait = FIRST_WAIT;
        } else {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        self.wait
    }

    /// Records a successful receive.
    pub(super) fn recovered(&mut self) {
        if !self.wait.is_zero() {
            tracing::info!("queue available again");
            self.wait = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_and_reset_after_an_answer() {
        let mut outage = Outage::default();
        let mut wait = || outage.wait_after(&QueueError::LeaseLost).as_millis();
        assert_eq!([wait(), wait(), wait()], [100, 200, 400]);
        assert_eq!((0..20).map(|_| wait()).max(), Some(10_000));
        outage.recovered();
        assert_eq!(outage.wait_after(&QueueError::LeaseLost).as_millis(), 100);
    }
}
