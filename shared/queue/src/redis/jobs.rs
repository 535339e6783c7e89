//! Adding and completing jobs.

use std::sync::Arc;

use batcher::{Batcher, Bounds};
use futures::FutureExt;
use serde_json::{Value, json};

use super::connection::Connection;
use super::scripts::{Keys, Scripts};
use super::{HANDOVER_LOCK, ORDER_RECHECK, millis};
use crate::{QueueError, Receipt};

/// The name of every job.
pub(super) const JOB: &str = "process-lead";

/// The completed jobs that are kept for dashboards: their number, and their age in seconds.
pub(super) const KEEP_COMPLETED: (u32, u32) = (1000, 24 * 60 * 60);

/// A good part of the cost of a small script in Redis is its start. While Redis runs one batch, the next is
/// prepared.
const BOUNDS: Bounds = Bounds { calls: 64, batches: 2 };

/// Calls that share scripts, each with its lead or job as the key and a number as the answer.
pub(super) type Calls<T> = Batcher<String, T, Result<i64, QueueError>>;

/// A job to add.
pub(super) struct Addition {
    pub(super) id: String,
    pub(super) data: String,
    pub(super) lead: String,
    /// The hash of the lead's content.
    pub(super) content: String,
}

/// A batcher that adds jobs. The answers are those of `send.lua`.
pub(super) fn additions(
    connection: &Arc<Connection>,
    scripts: &Arc<Scripts>,
    keys: &Keys,
) -> Calls<Addition> {
    let (connection, scripts) = (Arc::clone(connection), Arc::clone(scripts));
    let dead_letters = keys.dead_letters.clone();
    Batcher::new(BOUNDS, move |jobs: Vec<Addition>| {
        let (connection, scripts) = (Arc::clone(&connection), Arc::clone(&scripts));
        let dead_letters = dead_letters.clone();
        async move {
            let calls = jobs.len();
            let mut send = scripts.send();
            send.arg(JOB).arg(millis(ORDER_RECHECK)).arg(dead_letters);
            for Addition { id, data, lead, content } in jobs {
                send.arg(&id).arg(data).arg(job_options(&id)).arg(lead).arg(content);
            }
            for_each(calls, connection.run(&send).await)
        }
        .boxed()
    })
}

/// A batcher that completes leased jobs. The answers are those of `complete.lua`.
pub(super) fn completions(connection: &Arc<Connection>, scripts: &Arc<Scripts>) -> Calls<Receipt> {
    let (connection, scripts) = (Arc::clone(connection), Arc::clone(scripts));
    Batcher::new(BOUNDS, move |receipts: Vec<Receipt>| {
        let (connection, scripts) = (Arc::clone(&connection), Arc::clone(&scripts));
        async move {
            let calls = receipts.len();
            let mut complete = scripts.complete();
            complete.arg(kept_text()).arg(KEEP_COMPLETED.0).arg(KEEP_COMPLETED.1).arg(millis(HANDOVER_LOCK));
            for Receipt { key, token } in receipts {
                complete.arg(key).arg(token);
            }
            for_each(calls, connection.run(&complete).await)
        }
        .boxed()
    })
}

/// The answers of a script to the calls of a batch. A failure of the script is that of each call.
fn for_each(calls: usize, answers: Result<Vec<i64>, QueueError>) -> Vec<Result<i64, QueueError>> {
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => {
            let same = copies(error);
            (0..calls).map(|_| Err(same())).collect()
        }
    }
}

/// Copies an error for each of several callers.
fn copies(error: QueueError) -> Box<dyn Fn() -> QueueError + Send> {
    match error {
        QueueError::LeaseLost => Box::new(|| QueueError::LeaseLost),
        QueueError::Refused(reason) => Box::new(move || QueueError::Refused(reason.clone())),
        QueueError::TooLarge(bytes) => Box::new(move || QueueError::TooLarge(bytes)),
        QueueError::Unavailable(error) => {
            let error: Arc<dyn std::error::Error + Send + Sync> = error.into();
            Box::new(move || QueueError::unavailable(Arc::clone(&error)))
        }
    }
}

/// The options of a job for Node's workers: the same number of attempts and the same waits as here (2, 4, 8,
/// 16 seconds), and the retention of finished jobs.
pub(super) fn job_options(id: &str) -> String {
    json!({
        "attempts": crate::MAX_ATTEMPTS,
        "backoff": {"type": "exponential", "delay": 2000},
        "removeOnComplete": kept(),
        "removeOnFail": {"age": 30 * 24 * 60 * 60, "count": 10_000},
        "jobId": id,
    })
    .to_string()
}

/// The part of [`job_options`] about completed jobs, exactly as it is serialized there.
fn kept_text() -> String {
    format!(r#""removeOnComplete":{}"#, kept())
}

fn kept() -> Value {
    let (count, age) = KEEP_COMPLETED;
    json!({"age": age, "count": count})
}
