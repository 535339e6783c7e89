//! Finishes jobs that only BullMQ's own scripts can finish, with the crate that BullMQ's authors publish.
//!
//! A job of another producer may be part of a flow or of BullMQ's deduplication; finishing it then changes
//! more than the job, which BullMQ's scripts handle. They check the job's lock. The crate's `Job` has an
//! empty lock token if it was not received through the crate, so the lock of this crate's lease is set to the
//! empty text beforehand.

use bullmq::options::RedisConnectionOptions;
use bullmq::{Queue, QueueOptions};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::connection::{NoAnswer, RESPONSE_TIMEOUT};
use crate::QueueError;

/// A client of the `bullmq-official` crate for the queue, connected on first use.
pub(super) struct BullMq {
    url: String,
    prefix: String,
    queue: OnceCell<Queue>,
}

impl BullMq {
    pub(super) fn new(url: &str, prefix: &str) -> Self {
        Self { url: url.to_owned(), prefix: prefix.to_owned(), queue: OnceCell::new() }
    }

    /// Completes a job whose lock is the empty text, or fails it with a reason.
    pub(super) async fn finish(&self, id: &str, failed: Option<&str>) -> Result<(), QueueError> {
        timeout(RESPONSE_TIMEOUT, self.try_finish(id, failed))
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
