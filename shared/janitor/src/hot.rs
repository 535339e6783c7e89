use std::sync::Arc;

use jiff::Timestamp;
use lead::{Failure, LeadEvent};
use store::Cursor;
use tokio::sync::Mutex;

use crate::{BATCH, Janitor};

/// The most batches of waiting leads that one round reads.
const BATCHES: usize = 10;

/// Decides whether a waiting lead is moved to the front of the queue.
pub type IsHot = dyn Fn(&LeadEvent) -> bool + Send + Sync;

/// The predicate for hot leads, and the progress of the current pass over the waiting leads.
#[derive(Clone)]
pub(crate) struct HotFirst {
    is_hot: Arc<IsHot>,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Default)]
struct Progress {
    checkpoint: Option<Cursor>,
    /// The last time consumption was seen paused; cleared when every lead that waited then is finished.
    paused_at: Option<Timestamp>,
}

impl HotFirst {
    pub(crate) fn new(is_hot: Arc<IsHot>) -> Self {
        Self { is_hot, progress: Arc::default() }
    }
}

impl Janitor {
    /// While consumption is paused, and until the leads that waited then are finished, moves hot leads to the
    /// front of the queue. A lead moves with all of its messages, so their order stays.
    ///
    /// Runs before the probes, which may end the pause. Each round continues the pass of the last one. A
    /// finished pass starts again, because a limit may have returned a hot lead to the queue in the meantime.
    /// Has no effect on a queue that does not support priorities.
    pub(crate) async fn prioritize_hot_leads(&self) -> Result<(), Failure> {
        let Some(hot) = &self.hot else { return Ok(()) };
        let mut progress = hot.progress.lock().await;
        if !self.queue.pauses().await?.is_empty() {
            progress.paused_at = Some(self.clock.now());
        } else if let Some(paused_at) = progress.paused_at {
            let oldest = self.store.open_deliveries(None, self.clock.now(), 1).await?;
            if oldest.first().is_none_or(|event| event.received_at > paused_at) {
                *progress = Progress::default();
            }
        }
        if progress.paused_at.is_none() {
            return Ok(());
        }
        for _ in 0..BATCHES {
            let waiting =
                self.store.open_deliveries(progress.checkpoint.as_ref(), self.clock.now(), BATCH).await?;
            for event in waiting.iter().filter(|event| (hot.is_hot)(event)) {
                if self.queue.prioritize(&event.lead_id).await? {
                    metrics::counter!("revenueflow_hastened_total").increment(1);
                }
            }
            progress.checkpoint = waiting.last().map(|last| Cursor::at(last.received_at, last.delivery_id()));
            if progress.checkpoint.is_none() {
                break;
            }
        }
        Ok(())
    }
}
