use std::sync::Arc;
use std::time::Duration;

use lead::{Failure, FailureClass, LeadEvent};
use queue::Sent;
use serde_json::json;
use store::{Cursor, Store};
use tokio::sync::Mutex;

use crate::{BATCH, Janitor, Round};

/// A delivery younger than this may be between the store and the queue right now.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// How far a pass over the open deliveries has come. Clones share it.
#[derive(Clone, Default)]
pub struct Place(pub(crate) Arc<Mutex<Option<Cursor>>>);

/// Parks a delivery that the queue will never take, without an attempt, where an operator sees it and its reason.
pub async fn give_up(store: &Store, event: &LeadEvent, failure: &Failure) -> Result<(), Failure> {
    let body = json!(event).to_string();
    store.record_dead_letter(event.delivery_id().as_str(), Some(event), &body, 0, failure).await?;
    metrics::counter!("revenueflow_dead_letters_total").increment(1);
    tracing::error!(lead_id = %event.lead_id, code = %failure.code, reason = failure.message, "given up");
    Ok(())
}

impl Janitor {
    /// Sends open deliveries again. One that is in the queue is a duplicate there; one that is not was left behind by a
    /// process that died between two steps, or by a queue that lost it.
    ///
    /// Each round looks at one batch, oldest first, and the next round goes on behind it: a long backlog does not
    /// hide what is lost behind it.
    pub(crate) async fn reconcile(&self, round: &mut Round) -> Result<(), Failure> {
        let mut reconciled_to = self.reconciled_to.0.lock().await;
        let before = self.ago(SETTLED_AFTER);
        let open = self.store.open_deliveries(reconciled_to.as_ref(), before, BATCH).await?;
        *reconciled_to = open
            .last()
            .filter(|_| open.len() == BATCH as usize)
            .map(|last| Cursor::at(last.received_at, last.delivery_id()));
        round.requeued = self.send_again(&open).await?;
        Ok(())
    }

    /// Looks at every open delivery, however young, and sends again what is in no queue: for an operator, after a queue
    /// was lost. Says how many were sent and how many were waiting as they should.
    pub async fn reconcile_all(&self, mut progress: impl FnMut(u64) + Send) -> Result<(u64, u64), Failure> {
        let before = self.clock.now();
        let (mut sent, mut looked_at) = (0, 0);
        let mut place = None;
        loop {
            let open = self.store.open_deliveries(place.as_ref(), before, BATCH).await?;
            let Some(last) = open.last() else { return Ok((sent, looked_at - sent)) };
            place = Some(Cursor::at(last.received_at, last.delivery_id()));
            looked_at += open.len() as u64;
            sent += self.send_again(&open).await? as u64;
            progress(looked_at);
        }
    }

    /// Sends events; says how many the queue did not have.
    async fn send_again(&self, events: &[LeadEvent]) -> Result<usize, Failure> {
        let mut sent = 0;
        for event in events {
            match self.queue.send(event).await.map_err(Failure::from) {
                Ok(Sent::Accepted) => {
                    tracing::warn!(lead_id = %event.lead_id, "an open delivery was in no queue: sent again");
                    metrics::counter!("revenueflow_requeued_total").increment(1);
                    sent += 1;
                }
                Ok(Sent::Duplicate) => {}
                // It can never be sent, and must not keep those behind it from being sent.
                Err(failure) if failure.class == FailureClass::Permanent => {
                    give_up(&self.store, event, &failure).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(sent)
    }
}
