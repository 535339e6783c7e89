use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use jiff::Timestamp;
use queue::Received;

/// The messages of an event, in its order.
///
/// A message without a group, from a queue that is no FIFO queue, forms a group of its own.
pub(crate) fn received(event: SqsEvent) -> Vec<Received> {
    event.records.into_iter().map(message).collect()
}

fn message(record: SqsMessage) -> Received {
    let message_id = record.message_id.unwrap_or_default();
    let attribute = |name: &str| record.attributes.get(name);
    let own_attribute = |name: &str| record.message_attributes.get(name)?.string_value.clone();
    Received {
        key: own_attribute(Received::KEY).unwrap_or_else(|| message_id.clone()),
        not_before: own_attribute(Received::NOT_BEFORE).as_deref().and_then(Received::not_before),
        group: attribute("MessageGroupId").cloned().unwrap_or_else(|| message_id.clone()),
        receive_count: attribute("ApproximateReceiveCount").and_then(|n| n.parse().ok()).unwrap_or(1),
        sent_at: attribute("SentTimestamp")
            .and_then(|millis| Timestamp::from_millisecond(millis.parse().ok()?).ok())
            .unwrap_or_default(),
        body: record.body.unwrap_or_default(),
        receipt: record.receipt_handle.unwrap_or_default(),
        message_id,
    }
}
