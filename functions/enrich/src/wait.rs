use jiff::Timestamp;
use queue::Received;
use serde::Deserialize;

/// The part of a `lead::LeadEvent` that says since when the lead waits.
#[derive(Deserialize)]
struct Accepted {
    received_at: Timestamp,
}

/// Records how long ago the webhook of each message was accepted, in seconds. For messages that come again: SQS counts the
/// age of a copy from the copy, so its own metric cannot see a lead that waits by copies.
pub(crate) fn record_waits(messages: &[Received], now: Timestamp) {
    for message in messages {
        // A body that is no event is the pipeline's to refuse.
        let Ok(Accepted { received_at }) = serde_json::from_str(&message.body) else { continue };
        let waited = now.duration_since(received_at).as_secs_f64().max(0.0);
        metrics::histogram!("revenueflow_lead_wait_seconds").record(waited);
    }
}
