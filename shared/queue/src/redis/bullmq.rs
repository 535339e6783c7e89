//! Jobs that only BullMQ's own scripts can finish, by the crate that its makers publish.
//!
//! A job of another producer may be part of a flow or of BullMQ's deduplication; finishing it then changes more than
//! the job. Their scripts know how. They take the job from a worker by its lock, and the crate's `Job` has no lock
//! but the empty one where it was not received by the crate: ours is made the empty text before.

use bullmq::options::RedisConnectionOptions;
use bullmq::{Queue, QueueOptions};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::connection::{NoAnswer, PATIENCE};
use crate::QueueError;

/// BullMQ's own view of the queue, connected when it is first needed.
pub(super) struct BullMq {
    url: String,
    prefix: String,
    queue: OnceCell<Queue>,
}

impl BullMq {
    pub(super) fn new(url: &str, prefix: &str) -> Self {
        Self { url: url.to_owned(), prefix: prefix.to_owned(), queue: OnceCell::new() }
    }

    /// Completes a job whose lock is the empty text, or fails it for a reason.
    pub(super) async fn finish(&self, id: &str, failed: Option<&str>) -> Result<(), QueueError> {
        timeout(PATIENCE, self.try_finish(id, failed))
            .await
            .map_err(|_| QueueError::unavailable(NoAnswer))?
            .map_err(QueueError::unavailable)
    }

    async fn try_finish(&self, id: &str, failed: Option<&str>) -> Result<(), bullmq::Error> {
        let connect = async || {
            let connection = RedisConnectionOptions::new().url(&self.url);
            let options = QueueOptions::new().connection(connection).prefix(&self.prefix);
            Queue::with_options(super::QUEUE, options).await
        };
        let queue = self.queue.get_or_try_init(connect).await?;
        let Some(mut job) = queue.get_job(id).await? else { return Ok(()) };
        match failed {
            None => job.move_to_completed("").await,
            Some(reason) => job.move_to_failed(reason).await,
        }
    }
}
