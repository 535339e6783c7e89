use std::time::Duration;

use lead::{Failure, FailureClass, Stage};

use crate::{LeadHandler, Message};

/// How often a message may fail at one stage before it is dead-lettered.
pub const MAX_ATTEMPTS: u32 = 5;

/// How often our own database or queue may fail for one message, while it works well enough to count that, before the
/// message is dead-lettered. With the waits between, three quarters of an hour at least. A safety maximum: what fails so often
/// alone is the message's own failure, and an outage cannot be counted in the database that is away.
pub const MAX_STORAGE_FAILURES: u32 = 50;

/// How often workers may die with a message before it is dead-lettered. High, since a worker's death is seldom
/// the doing of every message it held.
pub const MAX_LOSSES: u32 = 20;

/// The longest wait after a failure of our own database or queue.
const LONGEST_STORAGE_WAIT: Duration = Duration::from_secs(60);

/// How long a message waits whose failure could not be counted, since the database is away.
const UNCOUNTED_WAIT: Duration = Duration::from_secs(10);

/// How long a deferred message waits where no time is given.
const DEFAULT_DEFERRAL: Duration = Duration::from_secs(30);

/// What became of a leased message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Worked: the message goes.
    Done,
    /// The attempt failed and counts: the message is received again after the delay, before any later one of its group.
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

/// The wait after a failure of our own database or queue: 2, 4, 8, 16, 32 and then 60 seconds.
fn storage_backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.clamp(1, 6)).min(LONGEST_STORAGE_WAIT)
}

/// What becomes of a message whose work failed, where this is attempt number `attempt` (from 1) at the stage of the failure.
///
/// A failure of our own database or queue is a deferral for the lead: it costs no attempt at any stage.
pub fn settle_failed(attempt: u32, failure: Failure) -> Settlement {
    match (failure.class, failure.stage) {
        (FailureClass::Permanent, _) => Settlement::DeadLetter { failure },
        (FailureClass::Deferral, _) => {
            Settlement::Defer { after: failure.retry_after.unwrap_or(DEFAULT_DEFERRAL), failure }
        }
        (FailureClass::Transient, Stage::Storage) if attempt >= MAX_STORAGE_FAILURES => {
            Settlement::DeadLetter { failure }
        }
        (FailureClass::Transient, Stage::Storage) => {
            Settlement::Defer { after: storage_backoff(attempt), failure }
        }
        (FailureClass::Transient, _) if attempt >= MAX_ATTEMPTS => Settlement::DeadLetter { failure },
        (FailureClass::Transient, _) => Settlement::Retry { after: backoff(attempt), failure },
    }
}

/// [`settle_failed`], with the attempts as the handler counts them. What cannot be counted costs no attempt.
pub async fn settle_counted(handler: &dyn LeadHandler, message: &Message, failure: Failure) -> Settlement {
    if failure.class != FailureClass::Transient {
        return settle_failed(message.attempt, failure);
    }
    match handler.attempt(message, &failure).await {
        Ok(attempt) => settle_failed(attempt, failure),
        Err(uncounted) => Settlement::Defer { after: UNCOUNTED_WAIT, failure: uncounted },
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

    #[test]
    fn storage_failures_cost_no_attempt_and_end_all_the_same() {
        let failure = || Failure::transient("database_error", "away").at(Stage::Storage);
        for (failures, seconds) in [(1, 2), (5, 32), (6, 60), (49, 60)] {
            let settlement = settle_failed(failures, failure());
            assert!(matches!(settlement, Settlement::Defer { after, .. } if after.as_secs() == seconds));
        }
        assert!(matches!(settle_failed(50, failure()), Settlement::DeadLetter { .. }));
    }
}
