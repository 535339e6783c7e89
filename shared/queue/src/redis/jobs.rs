//! Jobs, as they begin and as they end well.

use std::sync::Arc;

use futures::FutureExt;
use serde_json::{Value, json};

use super::batch::Batch;
use super::connection::Connection;
use super::scripts::{Keys, Scripts};
use super::{LOOK_AGAIN, SURRENDER, millis};
use crate::Receipt;

/// The name of every job.
pub(super) const JOB: &str = "process-lead";

/// How many completed jobs are kept for dashboards, and for how many seconds.
pub(super) const KEEP_COMPLETED: (u32, u32) = (1000, 24 * 60 * 60);

/// A job to add.
pub(super) struct Addition {
    pub(super) id: String,
    pub(super) data: String,
    pub(super) lead: String,
    /// The hash of its content.
    pub(super) content: String,
}

/// Adds jobs.
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
            send.arg(JOB).arg(millis(LOOK_AGAIN)).arg(dead_letters);
            for Addition { id, data, lead, content } in jobs {
                send.arg(&id).arg(data).arg(job_options(&id)).arg(lead).arg(content);
            }
            connection.run(&send).await
        }
        .boxed()
    })
}

/// Completes leased jobs. The answers are those of `done.lua`.
pub(super) fn completions(connection: &Arc<Connection>, scripts: &Arc<Scripts>) -> Batch<Receipt> {
    let (connection, scripts) = (Arc::clone(connection), Arc::clone(scripts));
    Batch::new(move |receipts: Vec<Receipt>| {
        let (connection, scripts) = (Arc::clone(&connection), Arc::clone(&scripts));
        async move {
            let mut done = scripts.done();
            done.arg(kept_text()).arg(KEEP_COMPLETED.0).arg(KEEP_COMPLETED.1).arg(millis(SURRENDER));
            for Receipt { key, token } in receipts {
                done.arg(key).arg(token);
            }
            connection.run(&done).await
        }
        .boxed()
    })
}

/// What a job tells the workers of Node's: as many attempts as ours, with the same waits (2, 4, 8, 16 seconds), and
/// how many finished jobs to keep.
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

/// What our jobs' options say about completed ones, as it stands there.
fn kept_text() -> String {
    format!(r#""removeOnComplete":{}"#, kept())
}

fn kept() -> Value {
    let (count, age) = KEEP_COMPLETED;
    json!({"age": age, "count": count})
}
