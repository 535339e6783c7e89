//! The age of messages.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::Received;

/// The part of a `lead::LeadEvent` with the time of acceptance.
#[derive(Deserialize)]
struct Accepted {
    received_at: Timestamp,
}

/// The time since the webhook of a message was accepted; none for a malformed body, which the pipeline
/// refuses.
fn waited(message: &Received, now: Timestamp) -> Option<Duration> {
    let Accepted { received_at } = serde_json::from_str(&message.body).ok()?;
    Some(now.duration_since(received_at).try_into().unwrap_or_default())
}

/// The time since the webhook of a message was accepted, or since the message was sent where the body is
/// malformed.
pub(super) fn age(message: &Received, now: Timestamp) -> Duration {
    let in_queue = || now.duration_since(message.sent_at).try_into().unwrap_or_default();
    waited(message, now).unwrap_or_else(in_queue)
}

/// Records the time since the webhook of each message was accepted, in seconds. For messages that are
/// received again: SQS counts the age of a copy from its own sending, so its metric misses leads that wait as
/// copies.
pub(super) fn record_waits(messages: &[Received], now: Timestamp) {
    for waited in messages.iter().filter_map(|message| waited(message, now)) {
        metrics::histogram!("revenueflow_lead_wait_seconds").record(waited.as_secs_f64());
    }
}
