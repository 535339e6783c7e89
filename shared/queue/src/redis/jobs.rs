//! Adding and completing jobs.

use std::sync::Arc;

use futures::FutureExt;
use serde_json::{Value, json};

use super::batch::Batch;
use super::connection::Connection;
use super::scripts::{Keys, Scripts};
use super::{HANDOVER_LOCK, ORDER_RECHECK, millis};
use crate::Receipt;

/// The name of every job.
pub(super) const JOB: &str = "process-lead";

/// The completed jobs that are kept for dashboards: their number, and their age in seconds.
pub(super) const KEEP_COMPLETED: (u32, u32) = (1000, 24 * 60 * 60);

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
) -> Batch<Addition> {
    let (connection, scripts) = (Arc::clone(connection), Arc::clone(scripts));
    let dead_letters = keys.dead_letters.clone();
    Batch::new(move |jobs: Vec<Addition>| {
        let (connection, scripts) = (Arc::clone(&connection), Arc::clone(&scripts));
        let dead_letters = dead_letters.clone();
        async move {
            let mut send = scripts.send();
            send.arg(JOB).arg(millis(ORDER_RECHECK)).arg(dead_letters);
            for Addition { id, data, lead, content } in jobs {
                send.arg(&id).arg(data).arg(job_options(&id)).arg(lead).arg(content);
            }
            connection.run(&send).await
        }
        .boxed()
    })
}

/// A batcher that completes leased jobs. The answers are those of `complete.lua`.
pub(super) fn completions(connection: &Arc<Connection>, scripts: &Arc<Scripts>) -> Batch<Receipt> {
    let (connection, scripts) = (Arc::clone(connection), Arc::clone(scripts));
    Batch::new(move |receipts: Vec<Receipt>| {
        let (connection, scripts) = (Arc::clone(&connection), Arc::clone(&scripts));
        async move {
            let mut complete = scripts.complete();
            complete.arg(kept_text()).arg(KEEP_COMPLETED.0).arg(KEEP_COMPLETED.1).arg(millis(HANDOVER_LOCK));
            for Receipt { key, token } in receipts {
                complete.arg(key).arg(token);
            }
            connection.run(&complete).await
        }
        .boxed()
    })
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
