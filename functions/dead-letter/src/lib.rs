//! The dead letter queue: mark the lead, keep the reason, alert.
//!
//! A message comes here from the batch processor, with its failure and the number of tries; or from the lead queue's
//! redrive policy, without a word, which should not happen and is then said. Either way the lead is marked, the message
//! is kept to be sent again, and what is known of its tries is forgotten, so that it then has all of them.
//!
//! Doing it again, for the same message or a copy of it, changes nothing: the store keeps a delivery's dead letter once.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use lead::{Failure, LeadEvent};
use queue::Ledger;
use store::Store;

/// Tells people. Its texts hold nothing personal.
#[async_trait]
pub trait Notify: Send + Sync {
    /// Tells them. Where that fails it is logged, and the message is kept nevertheless.
    async fn notify(&self, subject: &str, text: &str);
}

/// Takes what was given up.
pub struct DeadLetters {
    store: Store,
    ledger: Arc<dyn Ledger>,
    notify: Arc<dyn Notify>,
}

/// What is known of one dead letter.
struct Letter {
    key: String,
    body: String,
    event: Option<LeadEvent>,
    attempts: u32,
    failure: Failure,
}

impl DeadLetters {
    /// Keeps them in `store`, and tells `notify`.
    pub fn new(store: Store, ledger: Arc<dyn Ledger>, notify: Arc<dyn Notify>) -> Self {
        Self { store, ledger, notify }
    }

    /// Takes a batch, and returns the SQS ids of the messages that could not be kept, which come again.
    pub async fn take(&self, batch: SqsEvent) -> Vec<String> {
        let mut failed = Vec::new();
        let mut lines = Vec::new();
        for record in batch.records {
            let message_id = record.message_id.clone().unwrap_or_default();
            let letter = Letter::read(&record);
            match self.keep(&letter).await {
                Ok(Some(attempts)) => lines.push(letter.line(attempts)),
                Ok(None) => tracing::info!(
                    message_id = letter.key,
                    "settled since, or overtaken: nothing is given up"
                ),
                Err(failure) => {
                    tracing::error!(message_id = letter.key, code = %failure.code, reason = failure.message, "a dead letter could not be kept: it comes again");
                    failed.push(message_id);
                }
            }
        }
        if !lines.is_empty() {
            let subject = format!("RevenueFlow: {} lead(s) given up", lines.len());
            self.notify.notify(&subject, &lines.join("\n")).await;
        }
        failed
    }

    /// Says whether the message is given up indeed: a copy may come here after its delivery was settled, or overtaken by
    /// a newer one. When it comes twice it is said twice, since the first time may have died before people were told.
    ///
    /// Returns how many attempts were made. The synthetic lead is marked and logged, and is no dead letter.
    async fn keep(&self, letter: &Letter) -> Result<Option<i64>, Failure> {
        let Letter { key, body, event, attempts: counted, failure } = letter;
        let id = self.store.record_dead_letter(key, event.as_ref(), body, *counted, failure).await?;
        self.ledger.forget(key).await?;
        let Some(kept) = self.store.dead_letter(&id).await? else {
            // People hear of it by the alarm on its time, and the next one is posted soon.
            if event.as_ref().is_some_and(|event| event.lead_id.is_synthetic()) {
                tracing::error!(message_id = key, code = %failure.code, reason = failure.message, "synthetic lead given up");
            }
            return Ok(None);
        };
        let attempts = kept.attempts;
        metrics::counter!("revenueflow_dead_letters_total").increment(1);
        tracing::error!(message_id = key, code = %failure.code, attempts, reason = failure.message, "given up");
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
                    "the queue gave it up by itself, after {receives} receives and for no reason we know"
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
