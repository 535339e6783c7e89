//! Waits of leads that a limit on all leads delays, such as the limit on CRM actions.
//!
//! SQS charges for each receive, and its redrive policy counts them. Retrying a backlog whenever a little
//! capacity is free would cost many times more receives than there are leads. So a process that finds the
//! limit full releases its batches untried for a while, and the wait of a lead grows with its age.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt as _;

/// The share of its age that a lead waits. Waits grow by a quarter, so that a long backlog costs each lead
/// few receives and delays none much longer than necessary.
const PART_OF_AGE: u32 = 4;

/// The bounds of that wait. The upper one bounds the delay of the last leads of a backlog.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(2));

/// The shortest time that a process pauses at a full limit. Capacity that becomes free meanwhile is not lost.
const MIN_PAUSE: Duration = Duration::from_secs(10);

/// The largest random addition to that pause, so that processes do not retry in step.
const PAUSE_SPREAD: Duration = Duration::from_secs(5);

/// The time until which this process considers the limit on all leads full. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Limit(Arc<Mutex<Option<Timestamp>>>);

impl Limit {
    /// Records that the limit has no capacity for at least `wait`.
    pub(super) fn note_full(&self, now: Timestamp, wait: Duration) {
        let pause = wait.max(MIN_PAUSE) + PAUSE_SPREAD.mul_f64(rand::rng().random_range(0.0..1.0));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now.saturating_add(pause).ok();
    }

    /// The rest of the pause; none where the limit may be tried.
    pub(super) fn left(&self, now: Timestamp) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = Duration::try_from(until?.duration_since(now)).ok()?;
        (!left.is_zero()).then_some(left)
    }
}

/// The wait of a lead that was accepted `age` ago, at least as long as the limit `asked` for. Random, up to
/// half as long again, so that leads of the same age spread out.
pub(super) fn wait(age: Duration, asked: Duration) -> Duration {
    let wait = (age / PART_OF_AGE).clamp(BOUNDS.0, BOUNDS.1).max(asked);
    wait.mul_f64(rand::rng().random_range(1.0..1.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_wait_costs_few_receives() {
        let mut age = Duration::ZERO;
        let mut receives = 0;
        while age < Duration::from_hours(4) {
            let wait = wait(age, Duration::from_secs(1));
            assert!((BOUNDS.0..BOUNDS.1.mul_f64(1.5)).contains(&wait), "{wait:?}");
            age += wait;
            receives += 1;
        }
        assert!(receives <= 130, "{receives}");
    }

    #[test]
    fn no_lead_waits_shorter_than_the_limit_asks() {
        for asked in [1, 59, 600].map(Duration::from_secs) {
            assert!(wait(Duration::ZERO, asked) >= asked);
        }
    }

    #[test]
    fn full_limit_pauses_for_a_while_and_is_tried_again() {
        let (limit, now) = (Limit::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(limit.left(now), None);
        limit.note_full(now, Duration::from_secs(30));
        let left = limit.clone().left(now).unwrap();
        assert!((Duration::from_secs(30)..=Duration::from_secs(35)).contains(&left), "{left:?}");
        assert_eq!(limit.left(now + left), None);
        limit.note_full(now, Duration::from_millis(200));
        assert!(limit.left(now).unwrap() >= MIN_PAUSE);
    }
}
