use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::Dependency;
use queue::{Ended, Ledger, Pause, QueueError, Tries};
use tokio::time::timeout;

/// How long the ledger may take for each call. A database that hangs must not take the function's time with it: it counts
/// as one that is away.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A ledger that answers in time.
pub(crate) struct InTime(pub(crate) Arc<dyn Ledger>);

async fn in_time<T>(answer: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::unavailable("the database did not answer in time"));
    timeout(TIMEOUT, answer).await.unwrap_or_else(late)
}

#[async_trait]
impl Ledger for InTime {
    async fn look(&self, keys: &[&str]) -> Result<HashMap<String, Tries>, QueueError> {
        in_time(self.0.look(keys)).await
    }

    async fn begin(&self, key: &str, lease: &str) -> Result<Tries, QueueError> {
        in_time(self.0.begin(key, lease)).await
    }

    async fn holds(&self, key: &str, lease: &str) -> Result<bool, QueueError> {
        in_time(self.0.holds(key, lease)).await
    }

    async fn end(&self, key: &str, lease: &str, ended: Ended) -> Result<bool, QueueError> {
        in_time(self.0.end(key, lease, ended)).await
    }

    async fn last_seen(&self, key: &str) -> Result<Option<Timestamp>, QueueError> {
        in_time(self.0.last_seen(key)).await
    }

    async fn note_sent(&self, key: &str) -> Result<(), QueueError> {
        in_time(self.0.note_sent(key)).await
    }

    async fn forget(&self, key: &str) -> Result<(), QueueError> {
        in_time(self.0.forget(key)).await
    }

    async fn pause(&self, dependency: &Dependency, reason: &str, until: Timestamp) -> Result<(), QueueError> {
        in_time(self.0.pause(dependency, reason, until)).await
    }

    async fn resume(&self, dependency: &Dependency) -> Result<(), QueueError> {
        in_time(self.0.resume(dependency)).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        in_time(self.0.pauses()).await
    }
}
