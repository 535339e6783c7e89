//! Handles the dead letter queue: marks the lead, keeps the reason, and alerts.
//!
//! A message arrives from the batch processor with its failure and its number of attempts, or from the lead
//! queue's redrive policy without either, which should not happen and is reported as such. In both cases the
//! lead is marked, the message is kept for a redrive, and its attempts are removed from the ledger, so that a
//! redrive starts with all of them.
//!
//! Handling the same message or a copy of it again changes nothing: the store keeps a delivery's dead letter
//! once.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use lead::{Failure, LeadEvent};
use queue::Ledger;
use store::Store;

/// Sends alerts to people. The texts contain no personal data.
#[async_trait]
pub trait Notify: Send + Sync {
    /// Sends an alert. A failure is logged, and the message is kept nevertheless.
    async fn notify(&self, subject: &str, text: &str);
}

/// Stores dead letters and alerts people.
pub struct DeadLetters {
    store: Store,
    ledger: Arc<dyn Ledger>,
    notify: Arc<dyn Notify>,
}

/// The content of one dead letter.
struct Letter {
    key: String,
    body: String,
    event: Option<LeadEvent>,
    attempts: u32,
    failure: Failure,
}

impl DeadLetters {
    /// A handler that keeps dead letters in `store` and alerts through `notify`.
    pub fn new(store: Store, ledger: Arc<dyn Ledger>, notify: Arc<dyn Notify>) -> Self {
        Self { store, ledger, notify }
    }

    /// Handles a batch, and returns the SQS ids of the messages that could not be kept, which SQS delivers
    /// again.
    pub async fn take(&self, batch: SqsEvent) -> Vec<String> {
        let mut failed = Vec::new();
        let mut lines = Vec::new();
        for record in batch.records {
            let message_id = record.message_id.clone().unwrap_or_default();
            let letter = Letter::read(&record);
            match self.store_letter(&letter).await {
                Ok(Some(attempts)) => lines.push(letter.line(attempts)),
                Ok(None) => tracing::info!(
                    message_id = letter.key,
                    "dead letter dropped: its delivery is settled or superseded"
                ),
                Err(failure) => {
                    tracing::error!(message_id = letter.key, code = %failure.code, reason = failure.message, "dead letter not stored; it is received again");
                    failed.push(message_id);
                }
            }
        }
        if !lines.is_empty() {
            let subject = format!("RevenueFlow: {} lead(s) dead-lettered", lines.len());
            self.notify.notify(&subject, &lines.join("\n")).await;
        }
        failed
    }

    /// Stores a dead letter. Returns the number of attempts, or none where the delivery is already settled or
    /// superseded by a newer one. A message that is received twice is alerted twice, because the first call
    /// may have died before its alert.
    ///
    /// The synthetic lead is marked and logged, and is no dead letter.
    async fn store_letter(&self, letter: &Letter) -> Result<Option<i64>, Failure> {
        let Letter { key, body, event, attempts: counted, failure } = letter;
        let id = self.store.record_dead_letter(key, event.as_ref(), body, *counted, failure).await?;
        self.ledger.forget(key).await?;
        let Some(kept) = self.store.dead_letter(&id).await? else {
            // An alarm on the synthetic lead's time alerts people, and the next synthetic lead follows soon.
            if event.as_ref().is_some_and(|event| event.lead_id.is_synthetic()) {
                tracing::error!(message_id = key, code = %failure.code, reason = failure.message, "synthetic lead failed");
            }
            return Ok(None);
        };
        let attempts = kept.attempts;
        metrics::counter!("revenueflow_dead_letters_total").increment(1);
        tracing::error!(message_id = key, code = %failure.code, attempts, reason = failure.message, "delivery dead-lettered");
        Ok(Some(attempts))
    }
}

impl Letter {
    fn read(record: &SqsMessage) -> Self {
        let attribute = |name: &str| record.message_attributes.get(name)?.string_value.clone();
        let body = record.body.clone().unwrap_or_default();
        let failure = attribute("failure").and_then(|json| serde_json::from_str(&json).ok());
        let receives = record.attributes.get("ApproximateReceiveCount").map_or("?", String::as_str);
        Self {
            key: attribute("key").or(record.message_id.clone()).unwrap_or_default(),
            event: serde_json::from_str(&body).ok().filter(LeadEvent::is_consistent),
            attempts: attribute("attempts").and_then(|n| n.parse().ok()).unwrap_or(0),
            failure: failure.unwrap_or_else(|| {
                let reason = format!(
                    "moved by the queue's redrive policy after {receives} receives, without a recorded failure"
                );
                Failure::permanent("received_too_often", reason)
            }),
            body,
        }
    }

    fn line(&self, attempts: i64) -> String {
        let Self { key, event, failure, .. } = self;
        let id = event.as_ref().map_or(key.as_str(), |event| event.lead_id.as_str());
        format!("lead {id}: {} after {attempts} attempt(s): {}", failure.code, failure.message)
    }
}
