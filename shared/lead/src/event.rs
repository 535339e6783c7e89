use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContentHash, DeliveryId, Lead, LeadId};

/// The version of [`LeadEvent`]'s wire format. A reader refuses any other.
pub const EVENT_VERSION: u32 = 1;

/// One accepted delivery of a lead, as it travels on a queue (JSON).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeadEvent {
    /// Always [`EVENT_VERSION`] where we write it.
    pub version: u32,
    /// The lead this is a delivery of; also the message group.
    pub lead_id: LeadId,
    /// Of the lead's canonical content.
    pub content_hash: ContentHash,
    /// When the webhook was accepted: of two deliveries of a lead, the later one wins.
    pub received_at: Timestamp,
    /// The parsed content.
    pub lead: Lead,
}

impl LeadEvent {
    /// The event for a lead accepted at `received_at`.
    pub fn new(lead: Lead, received_at: Timestamp) -> Self {
        Self {
            version: EVENT_VERSION,
            lead_id: lead.id(),
            content_hash: lead.content_hash(),
            received_at,
            lead,
        }
    }

    /// Identifies the delivery: the same lead with the same content has the same id.
    pub fn delivery_id(&self) -> DeliveryId {
        DeliveryId::derive(&self.lead_id, &self.content_hash)
    }

    /// Whether the event is in our version and its ids really are those of its content.
    ///
    /// A queue is a trust boundary: a message whose id is not its content's would write one lead's data to another's record.
    pub fn is_consistent(&self) -> bool {
        self.version == EVENT_VERSION
            && self.lead_id == self.lead.id()
            && self.content_hash == self.lead.content_hash()
    }
}
