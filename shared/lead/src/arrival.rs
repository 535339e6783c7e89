use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContentHash, DeliveryId, LeadId};

/// The identity of a delivery among the deliveries of its lead.
///
/// If a lead returns to an earlier content (A, B, A), the third delivery differs from the first. A delivery
/// that is sent again under the same `webhook-id`, or that a queue delivers twice, is the same delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Arrival {
    /// Identified only by its content: jobs of other producers, and events from before this type existed.
    #[default]
    Content,
    /// Identified by its content and the millisecond in which it was received.
    Time,
    /// Identified by the `webhook-id` of a verified signature, stored as its hash. The content of a retry may
    /// differ.
    Webhook(ContentHash),
}

/// A text is not a valid arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be content, time, or webhook: and 64 hexadecimal digits")]
pub struct ArrivalError;

impl Arrival {
    /// A delivery with the `webhook-id` of a verified signature. The id may have any length.
    pub fn webhook(id: &str) -> Self {
        Self::Webhook(ContentHash::of(id))
    }

    /// Whether the delivery is identified only by its content.
    pub fn is_content(&self) -> bool {
        *self == Self::Content
    }

    pub(crate) fn delivery_id(
        &self,
        lead: &LeadId,
        content: &ContentHash,
        received_at: Timestamp,
    ) -> DeliveryId {
        match self {
            Self::Content => DeliveryId::derive(lead, content),
            Self::Time => {
                DeliveryId::identified(lead, &format!("{content}:{}", received_at.as_millisecond()))
            }
            Self::Webhook(id) => DeliveryId::identified(lead, &format!("webhook:{id}")),
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content => f.write_str("content"),
            Self::Time => f.write_str("time"),
            Self::Webhook(id) => write!(f, "webhook:{id}"),
        }
    }
}

impl TryFrom<String> for Arrival {
    type Error = ArrivalError;

    fn try_from(text: String) -> Result<Self, ArrivalError> {
        match text.as_str() {
            "content" => Ok(Self::Content),
            "time" => Ok(Self::Time),
            other => {
                let id = other.strip_prefix("webhook:").ok_or(ArrivalError)?;
                id.parse().map(Self::Webhook).map_err(|_| ArrivalError)
            }
        }
    }
}

impl From<Arrival> for String {
    fn from(arrival: Arrival) -> Self {
        arrival.to_string()
    }
}
