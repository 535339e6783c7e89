//! One attempt at a message, from its start to its settlement: for the worker and for the batch processor.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use lead::{Dependency, Failure};
use tokio::time::timeout;

use crate::settlement::{settle_counted, worker_lost};
use crate::{LeadHandler, Message, QueueError, Settlement};

/// The time limit for storing the outcome of a message.
const RECORD_TIMEOUT: Duration = Duration::from_mins(2);

/// Makes one attempt, which is dropped and counts as interrupted when `time_up` returns. A message that too
/// many workers have died with is not tried.
pub async fn attempt(
    handler: &dyn LeadHandler,
    message: &Message,
    time_up: impl Future<Output = ()>,
) -> Settlement {
    let worked = if let Some(failure) = worker_lost(message) {
        Err(failure)
    } else {
        tokio::select! {
            worked = catch_panic(handler.handle(message)) => worked,
            () = time_up => Err(handler.interrupted(message).await),
        }
    };
    let Err(failure) = worked else { return Settlement::Done };
    tracing::warn!(
        code = %failure.code,
        class = ?failure.class(),
        reason = failure.message,
        attempt = message.attempt,
        "message failed"
    );
    settle_counted(handler, message, failure).await
}

/// Stores the outcome of a failed attempt. The failure of that is logged and returned.
pub(crate) async fn record(
    handler: &dyn LeadHandler,
    message: &Message,
    outcome: &Settlement,
) -> Result<(), Failure> {
    let late = |_| Err(Failure::transient("record_timeout", "no answer in time"));
    let recorded = timeout(RECORD_TIMEOUT, catch_panic(handler.record(message, outcome)));
    recorded.await.unwrap_or_else(late).inspect_err(|failure| {
        tracing::error!(
            code = %failure.code,
            reason = failure.message,
            outcome = outcome.name(),
            "outcome of a message could not be stored"
        );
    })
}

/// Logs the result of pausing consumption because of a dependency that is to be probed at `until`.
pub(crate) fn log_pause(dependency: &Dependency, until: Timestamp, paused: Result<(), QueueError>) {
    match paused {
        Ok(()) => tracing::warn!(%dependency, %until, "consumption is paused"),
        Err(error) => tracing::error!(%dependency, %error, "consumption could not be paused"),
    }
}

/// Turns a panic into a failure of this message. The panic's text stays out of the failure, for it may quote
/// the lead: Rust's own panics on slices and numbers repeat the values.
async fn catch_panic(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Failure::transient("panic", "the work panicked; the log says where")))
}
