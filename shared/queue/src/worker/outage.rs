use std::time::Duration;

use crate::QueueError;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The queue itself failing: waits grow while it lasts, and it is logged once.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Zero while all is well.
    wait: Duration,
}

impl Outage {
    /// How long to wait before asking a queue again that has just failed.
    pub(super) fn wait_after(&mut self, error: &QueueError) -> Duration {
        if self.wait.is_zero() {
            tracing::error!(%error, "the queue cannot be read: trying again until it can");
            self.wait = FIRST_WAIT;
        } else {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        self.wait
    }

    /// The queue has answered.
    pub(super) fn is_over(&mut self) {
        if !self.wait.is_zero() {
            tracing::info!("the queue can be read again");
            self.wait = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_and_start_again_after_an_answer() {
        let mut outage = Outage::default();
        let mut wait = || outage.wait_after(&QueueError::LeaseLost).as_millis();
        assert_eq!([wait(), wait(), wait()], [100, 200, 400]);
        assert_eq!((0..20).map(|_| wait()).max(), Some(10_000));
        outage.is_over();
        assert_eq!(outage.wait_after(&QueueError::LeaseLost).as_millis(), 100);
    }
}
