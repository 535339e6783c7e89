use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::Dependency;
use queue::{Ended, Ledger, Pause, QueueError, Tries};
use tokio::time::timeout;

/// The time limit for each call of the ledger. A database that hangs counts as unavailable, so that it does
/// not use up the function's time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A ledger with a time limit on each call.
pub(crate) struct TimedLedger(pub(crate) Arc<dyn Ledger>);

async fn with_timeout<T>(answer: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::unavailable("the database did not answer in time"));
    timeout(TIMEOUT, answer).await.unwrap_or_else(late)
}

#[async_trait]
impl Ledger for TimedLedger {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        with_timeout(self.0.look(keys)).await
    }

    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError> {
        with_timeout(self.0.begin(key, lease)).await
    }

    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError> {
        with_timeout(self.0.holds(key, lease)).await
    }

    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError> {
        with_timeout(self.0.end(key, lease, ended)).await
    }

    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError> {
        with_timeout(self.0.last_seen(key)).await
    }

    async fn note_sent(&self, key: &str) -> Result<(), QueueError> {
        with_timeout(self.0.note_sent(key)).await
    }

    async fn forget(&self, key: &str) -> Result<(), QueueError> {
        with_timeout(self.0.forget(key)).await
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        with_timeout(self.0.pause(dependency, reason, until)).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        with_timeout(self.0.resume(dependency)).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        with_timeout(self.0.pauses()).await
    }
}
