use std::sync::Arc;
use std::time::Duration;

use lead::{Failure, FailureClass, LeadEvent};
use queue::Restored;
use serde_json::json;
use store::{Cursor, Store};
use tokio::sync::Mutex;

use crate::{BATCH, Janitor, Round};

/// A delivery younger than this may be between the store and the queue right now.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// What was done about open deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// In no queue, and sent again.
    pub sent: u64,
    /// In the queue, as they should be.
    pub waiting: u64,
    /// Finished or given up by workers of another application on the same queue, and closed.
    pub elsewhere: u64,
}

/// How far a pass over the open deliveries has come. Clones share it.
#[derive(Clone, Default)]
pub struct Place(pub(crate) Arc<Mutex<Option<Cursor>>>);

/// Parks a delivery that the queue will never take, without an attempt, where an operator sees it and its reason.
pub async fn give_up(store: &Store, event: &LeadEvent, failure: &Failure) -> Result<(), Failure> {
    give_up_after(0, store, event, failure).await
}

async fn give_up_after(
    attempts: u32,
    store: &Store,
    event: &LeadEvent,
    failure: &Failure,
) -> Result<(), Failure> {
    let body = json!(event).to_string();
    store.record_dead_letter(event.delivery_id().as_str(), Some(event), &body, attempts, failure).await?;
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
        let mut reconciled = Reconciled::default();
        let done = self.send_again(&open, false, &mut reconciled).await;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (round.requeued, round.elsewhere) = (count(reconciled.sent), count(reconciled.elsewhere));
        done
    }

    /// Looks at every open delivery, however young, and sends again what is in no queue: for an operator, after a queue
    /// was lost.
    pub async fn reconcile_all(&self, mut progress: impl FnMut(u64) + Send) -> Result<Reconciled, Failure> {
        let before = self.clock.now();
        let (mut reconciled, mut looked_at) = (Reconciled::default(), 0);
        let mut place = None;
        loop {
            let open = self.store.open_deliveries(place.as_ref(), before, BATCH).await?;
            let Some(last) = open.last() else { return Ok(reconciled) };
            place = Some(Cursor::at(last.received_at, last.delivery_id()));
            looked_at += open.len() as u64;
            self.send_again(&open, true, &mut reconciled).await?;
            progress(looked_at);
        }
    }

    /// Sends events that the queue does not have; `lost`: an operator says that it has lost them.
    async fn send_again(
        &self,
        events: &[LeadEvent],
        lost: bool,
        reconciled: &mut Reconciled,
    ) -> Result<(), Failure> {
        for event in events {
            let lead_id = &event.lead_id;
            let restored =
                if lost { self.queue.restore_lost(event).await } else { self.queue.restore(event).await };
            match restored.map_err(Failure::from) {
                Ok(Restored::Sent) => {
                    tracing::warn!(%lead_id, "an open delivery was in no queue: sent again");
                    metrics::counter!("revenueflow_requeued_total").increment(1);
                    reconciled.sent += 1;
                }
                Ok(Restored::Waiting) => reconciled.waiting += 1,
                Ok(Restored::WorkedElsewhere) => {
                    self.store.record_worked_elsewhere(event).await?;
                    tracing::info!(%lead_id, "a worker of another application has done it");
                    reconciled.elsewhere += 1;
                }
                Ok(Restored::FailedElsewhere { attempts }) => {
                    // Its own words stay where they are: nobody knows whom they name.
                    let failure = Failure::permanent(
                        "failed_elsewhere",
                        "a worker of another application gave it up; its job in the queue says why, under failedReason",
                    );
                    give_up_after(attempts, &self.store, event, &failure).await?;
                    reconciled.elsewhere += 1;
                }
                // It can never be sent, and must not keep those behind it from being sent.
                Err(failure) if failure.class == FailureClass::Permanent => {
                    give_up(&self.store, event, &failure).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
