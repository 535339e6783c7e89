use std::sync::Arc;
use std::time::Duration;

use lead::{Failure, FailureClass, LeadEvent};
use queue::Restored;
use serde_json::json;
use store::{Cursor, Store};
use tokio::sync::Mutex;

use crate::{BATCH, Janitor, Round};

/// A younger delivery may be on its way from the store to the queue.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// The counts of one reconciliation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Deliveries that were in no queue and were sent again.
    pub sent: u64,
    /// Deliveries that are in the queue, as expected.
    pub waiting: u64,
    /// Deliveries that another application's workers on the same queue have finished or dead-lettered; closed
    /// here.
    pub elsewhere: u64,
}

/// The checkpoint of a pass over the open deliveries. Clones share it.
#[derive(Clone, Default)]
pub struct Checkpoint(pub(crate) Arc<Mutex<Option<Cursor>>>);

/// Dead-letters a delivery that the queue will never accept, with no attempt counted and with the reason.
pub async fn dead_letter(store: &Store, event: &LeadEvent, failure: &Failure) -> Result<(), Failure> {
    dead_letter_after(0, store, event, failure).await
}

async fn dead_letter_after(
    attempts: u32,
    store: &Store,
    event: &LeadEvent,
    failure: &Failure,
) -> Result<(), Failure> {
    let body = json!(event).to_string();
    store.record_dead_letter(event.delivery_id().as_str(), Some(event), &body, attempts, failure).await?;
    metrics::counter!("revenueflow_dead_letters_total").increment(1);
    tracing::error!(lead_id = %event.lead_id, code = %failure.code, reason = failure.message, "delivery dead-lettered");
    Ok(())
}

impl Janitor {
    /// Sends open deliveries again. For a delivery that is in the queue this is a duplicate; a missing one
    /// was left behind by a process that died between two steps, or lost by the queue.
    ///
    /// Each round reads one batch, oldest first, and the next round continues behind it, so that a long
    /// backlog does not hide a lost delivery at its end.
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

    /// Checks every open delivery, regardless of its age, and sends the missing ones again: for an operator,
    /// after the loss of a queue.
    pub async fn reconcile_all(&self, mut progress: impl FnMut(u64) + Send) -> Result<Reconciled, Failure> {
        let before = self.clock.now();
        let (mut reconciled, mut looked_at) = (Reconciled::default(), 0);
        let mut checkpoint = None;
        loop {
            let open = self.store.open_deliveries(checkpoint.as_ref(), before, BATCH).await?;
            let Some(last) = open.last() else { return Ok(reconciled) };
            checkpoint = Some(Cursor::at(last.received_at, last.delivery_id()));
            looked_at += open.len() as u64;
            self.send_again(&open, true, &mut reconciled).await?;
            progress(looked_at);
        }
    }

    /// Sends events that the queue does not have. `lost`: an operator declares the queue's content lost.
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
                    tracing::warn!(%lead_id, "open delivery missing in the queue; sent again");
                    metrics::counter!("revenueflow_requeued_total").increment(1);
                    reconciled.sent += 1;
                }
                Ok(Restored::Waiting) => reconciled.waiting += 1,
                Ok(Restored::WorkedElsewhere) => {
                    self.store.record_worked_elsewhere(event).await?;
                    tracing::info!(%lead_id, "delivery finished by another application's worker");
                    reconciled.elsewhere += 1;
                }
                Ok(Restored::FailedElsewhere { attempts }) => {
                    // The worker's own message stays in the queue: it may contain personal data.
                    let failure = Failure::permanent(
                        "failed_elsewhere",
                        "dead-lettered by another application's worker; the reason is in failedReason of its job in the queue",
                    );
                    dead_letter_after(attempts, &self.store, event, &failure).await?;
                    reconciled.elsewhere += 1;
                }
                // The queue will never accept it, and the deliveries behind it must still be sent.
                Err(failure) if failure.class() == FailureClass::Permanent => {
                    dead_letter(&self.store, event, &failure).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
