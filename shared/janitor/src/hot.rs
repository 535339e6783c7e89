use std::sync::Arc;

use jiff::Timestamp;
use lead::{Failure, LeadEvent};
use store::Cursor;
use tokio::sync::Mutex;

use crate::{BATCH, Janitor};

/// The most batches of waiting leads that one round looks at.
const BATCHES: usize = 10;

/// Says of a lead that waits whether it is to be taken first.
pub type IsHot = dyn Fn(&LeadEvent) -> bool + Send + Sync;

/// Who goes first, and how far this pass over the waiting leads has come.
#[derive(Clone)]
pub(crate) struct HotFirst {
    is_hot: Arc<IsHot>,
    pass: Arc<Mutex<Pass>>,
}

#[derive(Default)]
struct Pass {
    place: Option<Cursor>,
    /// When consumption was last seen paused, until what waited then is done.
    paused_at: Option<Timestamp>,
}

impl HotFirst {
    pub(crate) fn new(is_hot: Arc<IsHot>) -> Self {
        Self { is_hot, pass: Arc::default() }
    }
}

impl Janitor {
    /// While consumption is paused, and until what waited then is done, has the queue put hot leads before all others. Each
    /// lead is moved with all of its messages: their order stays.
    ///
    /// Done before the probes, which may end the pause. Each round goes on behind the last one, and begins again when it has
    /// seen all: a limit may have sent a hot lead back meanwhile. A queue that cannot do it is asked in vain.
    pub(crate) async fn hot_first_in_line(&self) -> Result<(), Failure> {
        let Some(hot) = &self.hot else { return Ok(()) };
        let mut pass = hot.pass.lock().await;
        if !self.queue.pauses().await?.is_empty() {
            pass.paused_at = Some(self.clock.now());
        } else if let Some(paused_at) = pass.paused_at {
            let oldest = self.store.open_deliveries(None, self.clock.now(), 1).await?;
            if oldest.first().is_none_or(|event| event.received_at > paused_at) {
                *pass = Pass::default();
            }
        }
        if pass.paused_at.is_none() {
            return Ok(());
        }
        for _ in 0..BATCHES {
            let waiting = self.store.open_deliveries(pass.place.as_ref(), self.clock.now(), BATCH).await?;
            for event in waiting.iter().filter(|event| (hot.is_hot)(event)) {
                if self.queue.hasten(&event.lead_id).await? {
                    metrics::counter!("revenueflow_hastened_total").increment(1);
                }
            }
            pass.place = waiting.last().map(|last| Cursor::at(last.received_at, last.delivery_id()));
            if pass.place.is_none() {
                break;
            }
        }
        Ok(())
    }
}
