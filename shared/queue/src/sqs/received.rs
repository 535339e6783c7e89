//! Messages as received from SQS.

use std::time::Duration;

use aws_sdk_sqs::types::{Message as SqsMessage, MessageAttributeValue, MessageSystemAttributeName};
use jiff::Timestamp;
use lead::Clock;

use crate::{Message, Receipt};

/// The longest wait of a copy after it was sent, by the clock of SQS: a `not_before` far in the future must
/// not block the copy.
const LONGEST_COPY_WAIT: Duration = Duration::from_mins(15);

/// A message as received from SQS. Its `Debug` does not show the body.
#[derive(Clone)]
pub struct Received {
    /// The key, which a copy keeps: the delivery id, or the SQS message id if another application sent it.
    pub key: String,
    /// SQS's own id. A copy has a new one.
    pub message_id: String,
    /// The message group: the lead id.
    pub group: String,
    /// The event as JSON.
    pub body: String,
    /// The number of receives, this one included.
    pub receive_count: u32,
    /// The time at which this message or copy was sent.
    pub sent_at: Timestamp,
    /// On a copy: the end of the wait of the message that it replaces.
    pub not_before: Option<Timestamp>,
    /// The receipt handle, for changing or deleting the message. Unique to this receive.
    pub receipt: String,
}

impl Received {
    /// The attribute that preserves the key of a copied message: for our own messages the delivery id.
    pub const KEY: &str = "key";
    /// The attribute of a copy with the earliest time of its try, in milliseconds since 1970.
    pub const NOT_BEFORE: &str = "not_before";

    /// The message for a handler, with the number of this attempt (from 1) and the losses.
    pub fn to_message(&self, attempt: u32, losses: u32) -> Message {
        Message {
            id: self.key.clone(),
            group: self.group.clone(),
            body: self.body.clone(),
            attempt,
            losses,
            sent_at: self.sent_at,
            redriven: false,
            removed: crate::Removed::default(),
            receipt: Receipt { key: self.key.clone(), token: self.receipt.clone() },
        }
    }

    /// The time left until the message may be tried, at most 15 minutes from its send time; `None` if it may
    /// be tried now.
    pub fn wait_left(&self, now: Timestamp) -> Option<Duration> {
        let latest = self.sent_at.saturating_add(LONGEST_COPY_WAIT).ok()?;
        let left = Duration::try_from(self.not_before?.min(latest).duration_since(now)).ok()?;
        (!left.is_zero()).then(|| left.min(LONGEST_COPY_WAIT))
    }

    /// Parses the value of [`NOT_BEFORE`](Self::NOT_BEFORE); `None` if it is not a time.
    pub fn not_before(attribute: &str) -> Option<Timestamp> {
        Timestamp::from_millisecond(attribute.parse().ok()?).ok()
    }

    /// `None` for a message without an id, a group or a receipt. SQS never delivers such a message.
    pub(super) fn from_sqs(message: SqsMessage) -> Option<Self> {
        let system = message.attributes.unwrap_or_default();
        let text = |name| system.get(&name).map(String::as_str);
        let message_id = message.message_id?;
        let attributes = message.message_attributes.unwrap_or_default();
        let attribute = |name| attributes.get(name).and_then(MessageAttributeValue::string_value);
        Some(Self {
            key: attribute(Self::KEY).map_or_else(|| message_id.clone(), str::to_owned),
            not_before: attribute(Self::NOT_BEFORE).and_then(Self::not_before),
            group: text(MessageSystemAttributeName::MessageGroupId)?.to_owned(),
            body: message.body.unwrap_or_default(),
            receive_count: text(MessageSystemAttributeName::ApproximateReceiveCount)
                .and_then(|count| count.parse().ok())
                .unwrap_or(1),
            sent_at: text(MessageSystemAttributeName::SentTimestamp)
                .and_then(|millis| Timestamp::from_millisecond(millis.parse().ok()?).ok())
                .unwrap_or_else(|| lead::SystemClock.now()),
            receipt: message.receipt_handle?,
            message_id,
        })
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("key", &self.key)
            .field("receive_count", &self.receive_count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_waits_until_its_time_but_at_most_fifteen_minutes() {
        let sent_at = Timestamp::from_second(1_000).unwrap();
        let left_at = |now: i64, not_before: Option<&str>| {
            let received = Received {
                key: String::new(),
                message_id: String::new(),
                group: String::new(),
                body: String::new(),
                receive_count: 1,
                sent_at,
                not_before: not_before.and_then(Received::not_before),
                receipt: String::new(),
            };
            received.wait_left(Timestamp::from_second(now).unwrap())
        };
        let left = |not_before| left_at(1_000, not_before);
        assert_eq!(left(Some("1002500")), Some(Duration::from_millis(2_500)));
        assert_eq!(left(Some("99999999999")), Some(Duration::from_mins(15)), "the sender's clock is ahead");
        assert_eq!(left_at(1_899, Some("99999999999")), Some(Duration::from_secs(1)));
        assert_eq!(left_at(1_900, Some("99999999999")), None, "it was sent 15 minutes ago");
        for at_once in [None, Some("1000000"), Some("999999"), Some("-5"), Some("soon"), Some("")] {
            assert_eq!(left(at_once), None, "{at_once:?}");
        }
    }
}
