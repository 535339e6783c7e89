use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingest::{Acceptance, LeadSink, QuarantinedBody, SinkError};
use lead::{Failure, LeadEvent};
use queue::{LeadQueue, Park, QueueError, Sent, Spool};
use store::Store;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::quarantine;

/// How long the queue may take before an event goes to the spool instead.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a spool that holds something is offered to the queue.
const DRAIN_INTERVAL: Duration = Duration::from_millis(500);

/// How often it is looked for spools that dead processes left behind.
const ABANDONED_INTERVAL: Duration = Duration::from_secs(5);

/// How many notes to the store may be under way. It is a courtesy to readers: the request path does not wait for it.
const MAX_NOTES: usize = 32;

/// Takes in leads for a queue outside the database: acknowledged once the queue has them, or, while it is away, once
/// they are on this machine's disk.
pub(crate) struct SpooledSink {
    store: Store,
    queue: Arc<dyn LeadQueue>,
    spool: Spool,
    waker: Arc<Notify>,
    notes: Arc<Semaphore>,
}

impl SpooledSink {
    pub(crate) fn new(store: Store, queue: Arc<dyn LeadQueue>, spool: Spool, waker: Arc<Notify>) -> Self {
        Self { store, queue, spool, waker, notes: Arc::new(Semaphore::new(MAX_NOTES)) }
    }

    /// None where the queue did not answer, or where others wait before this event: then it waits behind them.
    async fn send(&self, event: &LeadEvent) -> Option<Sent> {
        if !self.spool.is_empty() {
            return None;
        }
        match tokio::time::timeout(SEND_TIMEOUT, self.queue.send(event)).await {
            Ok(Ok(sent)) => Some(sent),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the queue did not take a lead: it is spooled");
                None
            }
            Err(_elapsed) => {
                tracing::warn!("the queue did not answer in time: the lead is spooled");
                None
            }
        }
    }

    /// Lets the lead be seen before a worker has it, and found again should the queue be lost.
    fn note(&self, event: &LeadEvent) {
        let Ok(turn) = Arc::clone(&self.notes).try_acquire_owned() else { return };
        let (store, event) = (self.store.clone(), event.clone());
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = store.note(&event).await {
                tracing::warn!(lead_id = %event.lead_id, %error, "an accepted lead could not be noted");
            }
        });
    }
}

#[async_trait]
impl LeadSink for SpooledSink {
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        let acceptance = match self.send(event).await {
            // The job that it repeats was noted, or is noted by its worker.
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

/// Sends what is in the spool whenever the queue takes it, and what other processes left behind when they died.
pub(crate) async fn keep_drained(
    spool: Spool,
    left_in: SpoolFolder,
    queue: Arc<dyn LeadQueue>,
    store: Store,
    shutdown: CancellationToken,
) {
    let to = Drain { queue, parked: DeadLetters(store) };
    // What is left when the process is told to stop is the next one's.
    shutdown
        .run_until_cancelled(async { tokio::join!(drain_own(&spool, &to), drain_abandoned(&left_in, &to)) })
        .await;
}

/// Where spools are kept, and how much each may take.
pub(crate) struct SpoolFolder {
    pub(crate) path: PathBuf,
    pub(crate) max_bytes: u64,
}

async fn drain_own(spool: &Spool, to: &Drain) {
    let mut interval = every(DRAIN_INTERVAL);
    loop {
        interval.tick().await;
        metrics::gauge!("revenueflow_spool_bytes").set(bytes(spool));
        if !spool.is_empty()
            && let Some(events) = drained(spool, to).await
        {
            tracing::info!(events, "the queue is back: the spool is sent");
        }
    }
}

async fn drain_abandoned(folder: &SpoolFolder, to: &Drain) {
    let mut interval = every(ABANDONED_INTERVAL);
    loop {
        interval.tick().await;
        match Spool::abandoned(&folder.path, folder.max_bytes) {
            Ok(abandoned) => {
                for spool in abandoned.spools {
                    if let Some(events) = drained(&spool, to).await {
                        tracing::warn!(events, "what a dead process had spooled is sent");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the spools of dead processes cannot be looked for"),
        }
    }
}

/// Where a spool is emptied to.
struct Drain {
    queue: Arc<dyn LeadQueue>,
    parked: DeadLetters,
}

/// How many events were sent; none where not all of them could be.
async fn drained(spool: &Spool, to: &Drain) -> Option<u64> {
    match spool.drain(to.queue.as_ref(), &to.parked).await {
        Ok(events) => Some(events),
        Err(QueueError::Unavailable(_) | QueueError::LeaseLost) => None,
        Err(error @ (QueueError::TooLarge(_) | QueueError::Refused(_))) => {
            tracing::error!(%error, "the queue refuses a spooled lead");
            None
        }
    }
}

/// Keeps what the queue refuses for good among the dead letters, where an operator sees the reason and can send it again.
pub(crate) struct DeadLetters(pub(crate) Store);

#[async_trait]
impl Park for DeadLetters {
    async fn park(&self, event: &LeadEvent, reason: QueueError) -> Result<(), QueueError> {
        let parked = janitor::give_up(&self.0, event, &Failure::from(reason)).await;
        parked.map_err(|failure| QueueError::unavailable(failure.to_string()))
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
