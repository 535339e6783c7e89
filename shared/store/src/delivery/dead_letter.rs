use database::from_millis;
use lead::{Failure, LeadEvent, LeadStatus};
use serde_json::json;

use super::reopen::reopen;
use super::rows::event_of_delivery;
use super::transitions::{Opening, close, set_status};
use crate::assignment::park;
use crate::audit::{self, AuditKind};
use crate::codec::{to_json, without_nul};
use crate::dead_letters::insert;
use crate::{Attempts, DeadLetter, DeliveryState, Result, Store};

impl Store {
    /// Dead-letters a message. `event` is the parsed message, or none if it could not be read; `body` is its
    /// text in any case. Saves nothing for a delivery that is not open any more: it was dead-lettered before,
    /// superseded, or settled by another worker. Returns the id under which the dead letter is saved, if it
    /// is.
    ///
    /// `attempts` is the number counted by the queue. The number at the failure's stage, including the failed
    /// attempt, replaces it if greater. For the synthetic lead only the status is set, and the message is not
    /// saved: the next one is posted soon.
    pub async fn record_dead_letter(
        &self,
        message_id: &str,
        event: Option<&LeadEvent>,
        body: &str,
        attempts: u32,
        failure: &Failure,
    ) -> Result<String> {
        let now = self.now_millis();
        let mut letter = DeadLetter {
            id: without_nul(message_id),
            lead_id: event.map(|event| event.lead_id.clone()),
            failure: failure.clone(),
            attempts: i64::from(attempts),
            failed_at: from_millis(now),
        };
        let Some(event) = event else {
            let mut transaction = self.database.begin().await?;
            insert(&mut transaction, &letter, body).await?;
            transaction.commit().await?;
            return Ok(letter.id);
        };
        let lead = &event.lead_id;
        let mut transaction = self.begin_on(lead).await?;
        let (delivery, row) = self.open_delivery(&mut transaction, event).await?;
        letter.id = delivery.as_str().to_owned();
        if let Some(row) = row {
            let before = i64::from(Attempts::read(&row)?.at(failure.stage));
            letter.attempts = letter.attempts.max(if before > 0 { before + 1 } else { 0 });
            if lead.is_synthetic() {
                // No dead letter: the lead's row holds the failure, and a redrive is pointless.
            } else if delivery == event.delivery_id() {
                insert(&mut transaction, &letter, body).await?;
            } else {
                // The message repeats another delivery: a redrive sends that delivery itself.
                let kept = to_json(&event_of_delivery(&mut transaction, &delivery).await?);
                insert(&mut transaction, &letter, &kept).await?;
            }
            close(&mut transaction, &delivery, DeliveryState::Failed, now).await?;
            let status = LeadStatus::PermanentlyFailed;
            set_status(&mut transaction, lead, &delivery, status, Some(failure), now).await?;
            park(&mut transaction, lead, now).await?;
            let (kind, detail) =
                (AuditKind::DeadLettered, json!({ "attempts": letter.attempts, "failure": failure }));
            audit::append(&mut transaction, lead, Some(&delivery), now, kind, &detail).await?;
        }
        transaction.commit().await?;
        Ok(letter.id)
    }

    /// Reopens a dead-lettered delivery whose message was put back into the queue by hand, if it is still its
    /// lead's newest. False if there is nothing to reopen.
    pub async fn reopen_dead_lettered(&self, event: &LeadEvent, reason: &str) -> Result<bool> {
        let (now, lead) = (self.now_millis(), &event.lead_id);
        let mut transaction = self.begin_on(lead).await?;
        let delivery = self.resolve(&mut transaction, event).await?;
        let opening = Opening { failed_before: Some(i64::MAX), ..Opening::default() };
        let is_reopened = reopen(&mut transaction, None, lead, &delivery, opening, reason, now).await?;
        transaction.commit().await?;
        Ok(is_reopened)
    }
}
