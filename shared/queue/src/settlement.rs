//! The policy for failed messages: retry, defer or dead-letter.

use std::time::Duration;

use lead::{Failure, FailureClass, Stage};

use crate::{LeadHandler, Message};

/// The attempts of a message at one stage before it is dead-lettered.
pub const MAX_ATTEMPTS: u32 = 5;

/// The failures of the database or the queue itself for one message before it is dead-lettered. The waits in
/// between add up to at least three quarters of an hour. A safety limit: an outage of the database cannot be
/// counted in the database, so a message that reaches this limit causes the failures itself.
pub const MAX_STORAGE_FAILURES: u32 = 50;

/// The workers that may die with a message, in a row, before it is dead-lettered.
///
/// After the first of them the message is tried alone in its process: it is not blamed for the messages that
/// were beside it, nor they for it.
pub const MAX_LOSSES: u32 = 5;

/// The longest wait after a failure of the database or the queue itself.
const LONGEST_STORAGE_WAIT: Duration = Duration::from_secs(60);

/// The wait of a message whose failure could not be counted, because the database is unavailable.
const UNCOUNTED_WAIT: Duration = Duration::from_secs(10);

/// The wait of a deferred message whose failure names no time.
const DEFAULT_DEFERRAL: Duration = Duration::from_secs(30);

/// The outcome of a leased message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The work is done: the message is removed.
    Done,
    /// The attempt failed and counts: the message is received again after the delay, before any later message
    /// of its group.
    Retry {
        /// The delay, from now.
        after: Duration,
        /// The reason.
        failure: Failure,
    },
    /// The attempt could not be made and does not count: the message is received again after the delay.
    Defer {
        /// The delay, from now.
        after: Duration,
        /// The reason.
        failure: Failure,
    },
    /// The message is dead-lettered: it leaves the queue, and its group continues with the next message.
    DeadLetter {
        /// The reason.
        failure: Failure,
    },
}

impl Settlement {
    /// The name in logs and metrics: `done`, `retry`, `defer` or `dead_letter`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Defer { .. } => "defer",
            Self::DeadLetter { .. } => "dead_letter",
        }
    }
}

/// The failure of a message that is not tried again, because too many workers have died with it.
pub(crate) fn worker_lost(message: &Message) -> Option<Failure> {
    let Message { losses, .. } = message;
    let reason = || format!("workers died {losses} times while handling this message");
    (*losses >= MAX_LOSSES).then(|| Failure::permanent("worker_lost", reason()))
}

/// The wait after a failed attempt: 2, 4, 8, 16 seconds after attempts 1 to 4.
pub fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.clamp(1, MAX_ATTEMPTS - 1))
}

/// The wait after a failure of the database or the queue itself: 2, 4, 8, 16, 32 and then 60 seconds.
fn storage_backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.clamp(1, 6)).min(LONGEST_STORAGE_WAIT)
}

/// The settlement of a message whose work failed. `attempt` is the number of this attempt (from 1) at the
/// stage of the failure.
///
/// A failure of the database or the queue itself is a deferral for the lead: it costs no attempt at any
/// stage.
pub fn settle_failed(attempt: u32, failure: Failure) -> Settlement {
    match (failure.class(), failure.stage) {
        (FailureClass::Permanent, _) => Settlement::DeadLetter { failure },
        (FailureClass::Deferral, _) => {
            Settlement::Defer { after: failure.retry_after().unwrap_or(DEFAULT_DEFERRAL), failure }
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

/// Settles a failure with [`settle_failed`], by the handler's count of attempts. A failure that cannot be
/// counted is deferred and costs no attempt.
pub(crate) async fn settle_counted(
    handler: &dyn LeadHandler,
    message: &Message,
    failure: Failure,
) -> Settlement {
    if failure.class() != FailureClass::Transient {
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
    fn transient_failure_has_five_attempts_with_backoff() {
        let outcome = |attempt| settle_failed(attempt, Failure::transient("timeout", "no answer"));
        for (attempt, seconds) in [(1, 2), (2, 4), (3, 8), (4, 16)] {
            assert!(
                matches!(outcome(attempt), Settlement::Retry { after, .. } if after.as_secs() == seconds)
            );
        }
        assert!(matches!(outcome(5), Settlement::DeadLetter { .. }));
    }

    #[test]
    fn deferral_is_never_dead_lettered() {
        let failure = Failure::deferral(lead::Dependency::new("crm.mock"), "breaker_open", "open", None);
        assert!(matches!(settle_failed(99, failure), Settlement::Defer { .. }));
    }

    #[test]
    fn permanent_failure_is_dead_lettered_at_once() {
        assert!(matches!(settle_failed(1, Failure::permanent("bad", "bad")), Settlement::DeadLetter { .. }));
    }

    #[test]
    fn storage_failures_cost_no_attempt_but_have_a_limit() {
        let failure = || Failure::transient("database_error", "away").at(Stage::Storage);
        for (failures, seconds) in [(1, 2), (5, 32), (6, 60), (49, 60)] {
            let settlement = settle_failed(failures, failure());
            assert!(matches!(settlement, Settlement::Defer { after, .. } if after.as_secs() == seconds));
        }
        assert!(matches!(settle_failed(50, failure()), Settlement::DeadLetter { .. }));
    }
}
