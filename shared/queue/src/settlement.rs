use std::time::Duration;

use lead::{Failure, FailureClass};

/// How often a message may fail before it is dead-lettered.
pub const MAX_ATTEMPTS: u32 = 5;

/// How often workers may die with a message before it is dead-lettered. High, since a worker's death is seldom
/// the doing of every message it held.
pub const MAX_LOSSES: u32 = 20;

/// How long a deferred message waits where nobody said how long.
const DEFAULT_DEFERRAL: Duration = Duration::from_secs(30);

/// What became of a leased message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Worked: the message goes.
    Done,
    /// The attempt failed: the message is received again after the delay, before any later one of its group.
    Retry {
        /// From now.
        after: Duration,
        /// Why.
        failure: Failure,
    },
    /// It could not be tried: received again after the delay, without counting an attempt.
    Defer {
        /// From now.
        after: Duration,
        /// Why.
        failure: Failure,
    },
    /// Given up: the message leaves the queue and its group goes on.
    DeadLetter {
        /// Why.
        failure: Failure,
    },
}

/// The wait after a failed attempt: 2, 4, 8, 16 seconds after attempts 1 to 4.
pub fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.clamp(1, MAX_ATTEMPTS - 1))
}

/// What becomes of a message whose attempt (from 1) failed.
pub fn settle_failed(attempt: u32, failure: Failure) -> Settlement {
    match failure.class {
        FailureClass::Permanent => Settlement::DeadLetter { failure },
        FailureClass::Deferral => {
            Settlement::Defer { after: failure.retry_after.unwrap_or(DEFAULT_DEFERRAL), failure }
        }
        FailureClass::Transient if attempt >= MAX_ATTEMPTS => Settlement::DeadLetter { failure },
        FailureClass::Transient => Settlement::Retry { after: backoff(attempt), failure },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transient_failure_is_tried_five_times_with_growing_waits() {
        let outcome = |attempt| settle_failed(attempt, Failure::transient("timeout", "no answer"));
        for (attempt, seconds) in [(1, 2), (2, 4), (3, 8), (4, 16)] {
            assert!(
                matches!(outcome(attempt), Settlement::Retry { after, .. } if after.as_secs() == seconds)
            );
        }
        assert!(matches!(outcome(5), Settlement::DeadLetter { .. }));
    }

    #[test]
    fn a_deferral_never_ends_in_the_dead_letters() {
        let failure = Failure::deferral(lead::Dependency::new("crm.mock"), "breaker_open", "open", None);
        assert!(matches!(settle_failed(99, failure), Settlement::Defer { .. }));
    }

    #[test]
    fn a_permanent_failure_is_dead_lettered_at_once() {
        assert!(matches!(settle_failed(1, Failure::permanent("bad", "bad")), Settlement::DeadLetter { .. }));
    }
}
