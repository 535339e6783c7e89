use std::sync::Arc;

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
    place: Arc<Mutex<Option<Cursor>>>,
}

impl HotFirst {
    pub(crate) fn new(is_hot: Arc<IsHot>) -> Self {
        Self { is_hot, place: Arc::default() }
    }
}

impl Janitor {
    /// While consumption is paused, has the queue put hot leads before all others, so that they are worked on first when it
    /// goes on. Each lead is moved with all of its messages: their order stays.
    ///
    /// Done before the probes, which may end the pause. Each round goes on behind the last one, and begins again when the
    /// pause is over; a queue that cannot do it says so at the first hot lead, and is left in peace.
    pub(crate) async fn hot_first_in_line(&self) -> Result<(), Failure> {
        let Some(hot) = &self.hot else { return Ok(()) };
        let mut place = hot.place.lock().await;
        if self.queue.pauses().await?.is_empty() {
            *place = None;
            return Ok(());
        }
        for _ in 0..BATCHES {
            let waiting = self.store.open_deliveries(place.as_ref(), self.clock.now(), BATCH).await?;
            for event in waiting.iter().filter(|event| (hot.is_hot)(event)) {
                if self.queue.hasten(&event.lead_id).await? {
                    metrics::counter!("revenueflow_hastened_total").increment(1);
                }
            }
            let Some(last) = waiting.last() else { break };
            *place = Some(Cursor::at(last.received_at, last.delivery_id()));
        }
        Ok(())
    }
}
