//! The sink for queues outside the database, with a spool on disk for their outages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use database::Group;
use ingest::{Acceptance, LeadSink, QuarantinedBody, SinkError};
use lead::LeadEvent;
use operations::Operations;
use queue::{LeadQueue, QueueError, Sent, Spool};
use store::{Notes, Store};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::quarantine;

/// Limit for sending an event to the queue. A slower one is written to the spool instead.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval between attempts to drain this process's spool.
const DRAIN_INTERVAL: Duration = Duration::from_millis(500);

/// The interval between searches for the spools of dead processes.
const ABANDONED_INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of concurrent writes of accepted leads to the store. They are best effort: the request path
/// does not wait for them, and skips them above this number.
const MAX_NOTES: usize = 256;

/// Accepts leads for a queue outside the database. A lead is acknowledged once the queue has it or, while the
/// queue is unavailable, once it is on this machine's disk.
pub(crate) struct SpooledSink {
    store: Store,
    queue: Arc<dyn LeadQueue>,
    spool: Spool,
    waker: Arc<Notify>,
    notes: Arc<Group<Notes>>,
    running_notes: Arc<Semaphore>,
}

impl SpooledSink {
    pub(crate) fn new(store: Store, queue: Arc<dyn LeadQueue>, spool: Spool, waker: Arc<Notify>) -> Self {
        let notes = Arc::new(Group::new(store.database().clone(), Notes(store.clone())));
        Self { store, queue, spool, waker, notes, running_notes: Arc::new(Semaphore::new(MAX_NOTES)) }
    }

    /// Sends an event to the queue. Returns `None` if the queue failed or timed out, and also if the spool is
    /// not empty: the event then keeps its order behind the spooled ones.
    async fn send(&self, event: &LeadEvent) -> Option<Sent> {
        if !self.spool.is_empty() {
            return None;
        }
        match tokio::time::timeout(SEND_TIMEOUT, self.queue.send(event)).await {
            Ok(Ok(sent)) => Some(sent),
            Ok(Err(error)) => {
                tracing::warn!(%error, "queue did not accept a lead, lead spooled");
                None
            }
            Err(_elapsed) => {
                tracing::warn!("queue timed out, lead spooled");
                None
            }
        }
    }

    /// Records the lead in the store, in the background: it is visible before a worker receives it, and can
    /// be requeued if the queue is lost.
    fn note(&self, event: &LeadEvent) {
        let Ok(permit) = Arc::clone(&self.running_notes).try_acquire_owned() else { return };
        let (notes, event) = (Arc::clone(&self.notes), event.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let lead_id = event.lead_id.clone();
            if let Err(error) = notes.call(lead_id.as_str(), event).await {
                tracing::warn!(%lead_id, %error, "cannot record accepted lead in the store");
            }
        });
    }
}

#[async_trait]
impl LeadSink for SpooledSink {
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        let acceptance = match self.send(event).await {
            // The first delivery of this job has been recorded, or its worker records it.
            Some(Sent::Duplicate) => return Ok(Acceptance::Duplicate),
            Some(Sent::Accepted) => {
                self.waker.notify_one();
                Acceptance::Accepted
            }
            None => {
                let (spool, spooled) = (self.spool.clone(), event.clone());
                let written = tokio::task::spawn_blocking(move || spool.append(&spooled)).await;
                written.map_err(SinkError::new)?.map_err(SinkError::new)?;
                metrics::counter!("revenueflow_spooled_total").increment(1);
                Acceptance::Accepted
            }
        };
        self.note(event);
        Ok(acceptance)
    }

    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError> {
        quarantine(&self.store, item).await
    }
}

/// Drains this process's spool and the abandoned spools of dead processes into the queue, until shutdown.
pub(crate) async fn drain_spools(
    spool: Spool,
    folder: SpoolFolder,
    operations: Operations,
    shutdown: CancellationToken,
) {
    // The next process drains the events that remain at shutdown.
    shutdown
        .run_until_cancelled(async {
            tokio::join!(drain_own(&spool, &operations), drain_abandoned(&folder, &operations))
        })
        .await;
}

/// The directory of the spools, and the maximum size of each.
pub(crate) struct SpoolFolder {
    pub(crate) path: PathBuf,
    pub(crate) max_bytes: u64,
}

async fn drain_own(spool: &Spool, operations: &Operations) {
    let mut interval = every(DRAIN_INTERVAL);
    loop {
        interval.tick().await;
        metrics::gauge!("revenueflow_spool_bytes").set(bytes(spool));
        if !spool.is_empty()
            && let Some(events) = drain(spool, operations).await
        {
            tracing::info!(events, "queue available again, spool drained");
        }
    }
}

async fn drain_abandoned(folder: &SpoolFolder, operations: &Operations) {
    let mut interval = every(ABANDONED_INTERVAL);
    loop {
        interval.tick().await;
        match Spool::abandoned(&folder.path, folder.max_bytes) {
            Ok(abandoned) => {
                for spool in abandoned.spools {
                    if let Some(events) = drain(&spool, operations).await {
                        tracing::warn!(events, "abandoned spool of a dead process drained");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "cannot search for abandoned spools"),
        }
    }
}

/// Drains a spool and returns the number of events sent, or `None` if some remain.
async fn drain(spool: &Spool, operations: &Operations) -> Option<u64> {
    match spool.drain(operations.queue(), operations).await {
        Ok(events) => Some(events),
        Err(QueueError::Unavailable(_) | QueueError::LeaseLost) => None,
        Err(error @ (QueueError::TooLarge(_) | QueueError::Refused(_))) => {
            tracing::error!(%error, "queue refused a spooled lead");
            None
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn bytes(spool: &Spool) -> f64 {
    spool.waiting_bytes() as f64
}
