use std::time::Duration;

use jiff::Timestamp;
use queue::Received;
use serde::Deserialize;

/// The part of a `lead::LeadEvent` that says since when the lead waits.
#[derive(Deserialize)]
struct Accepted {
    received_at: Timestamp,
}

/// How long ago the webhook of a message was accepted; none for a body that is no event, which is the pipeline's to refuse.
fn waited(message: &Received, now: Timestamp) -> Option<Duration> {
    let Accepted { received_at } = serde_json::from_str(&message.body).ok()?;
    Some(now.duration_since(received_at).try_into().unwrap_or_default())
}

/// How long ago the webhook of a message was accepted, as far as that can be told.
pub(crate) fn age(message: &Received, now: Timestamp) -> Duration {
    let in_queue = || now.duration_since(message.sent_at).try_into().unwrap_or_default();
    waited(message, now).unwrap_or_else(in_queue)
}

/// Records how long ago the webhook of each message was accepted, in seconds. For messages that come again: SQS counts the
/// age of a copy from the copy, so its own metric cannot see a lead that waits by copies.
pub(crate) fn record_waits(messages: &[Received], now: Timestamp) {
    for waited in messages.iter().filter_map(|message| waited(message, now)) {
        metrics::histogram!("revenueflow_lead_wait_seconds").record(waited.as_secs_f64());
    }
}
