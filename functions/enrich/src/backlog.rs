//! What leads do that wait for room in a limit on all of them, such as that of CRM actions.
//!
//! SQS charges for each receive, and its redrive policy counts them: a backlog that is tried anew whenever a little room comes
//! free costs more receives than it has leads many times over. So a process that finds the limit full hands its batches
//! back untried for a while, and a lead comes again the later the longer it has waited.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt as _;

/// The part of its age that a lead waits before it comes again: waits grow by a quarter, so that a long backlog costs each
/// lead few receives, and none comes much later than it could.
const PART_OF_AGE: u32 = 4;

/// The bounds of that wait. The longest is what the last leads of a backlog may come too late.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(2));

/// How long a process leaves a full limit alone at least. What comes free meanwhile is still there afterwards.
const LEAST_HOLD: Duration = Duration::from_secs(10);

/// How much later than the others a process may try, so that they do not all come at once.
const HOLD_SPREAD: Duration = Duration::from_secs(5);

/// Until when a limit on all leads counts as full, as this process has found it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Limit(Arc<Mutex<Option<Timestamp>>>);

impl Limit {
    /// Notes that there is room again after `wait` at the earliest.
    pub(crate) fn note_full(&self, now: Timestamp, wait: Duration) {
        let hold = wait.max(LEAST_HOLD) + HOLD_SPREAD.mul_f64(rand::rng().random_range(0.0..1.0));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now.saturating_add(hold).ok();
    }

    /// How long it still counts as full; none where it may be tried.
    pub(crate) fn left(&self, now: Timestamp) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = Duration::try_from(until?.duration_since(now)).ok()?;
        (!left.is_zero()).then_some(left)
    }
}

/// How long a lead that was accepted so long ago waits, at least as long as the limit `asked` for. Leads of one age spread
/// over half as long again.
pub(crate) fn wait(age: Duration, asked: Duration) -> Duration {
    let wait = (age / PART_OF_AGE).clamp(BOUNDS.0, BOUNDS.1).max(asked);
    wait.mul_f64(rand::rng().random_range(1.0..1.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_costs_few_receives() {
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
    fn no_lead_comes_before_the_limit_says() {
        for asked in [1, 59, 600].map(Duration::from_secs) {
            assert!(wait(Duration::ZERO, asked) >= asked);
        }
    }

    #[test]
    fn a_full_limit_is_left_alone_for_a_while_and_then_tried() {
        let (limit, now) = (Limit::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(limit.left(now), None);
        limit.note_full(now, Duration::from_secs(30));
        let left = limit.clone().left(now).unwrap();
        assert!((Duration::from_secs(30)..=Duration::from_secs(35)).contains(&left), "{left:?}");
        assert_eq!(limit.left(now + left), None);
        limit.note_full(now, Duration::from_millis(200));
        assert!(limit.left(now).unwrap() >= LEAST_HOLD);
    }
}
