//! The other leads of the same person: each campaign makes one of its own.

use jiff::Timestamp;
use lead::{LeadId, LeadStatus};
use serde::Serialize;
use store::LeadRecord;

/// Another lead of the same person.
#[derive(Clone, Serialize)]
pub struct OtherLead {
    /// Which.
    pub lead_id: LeadId,
    /// Through which campaign.
    pub campaign_id: String,
    /// Whether it was received before the lead that is explained.
    pub earlier: bool,
    /// Where it stands.
    pub status: LeadStatus,
    /// The CRM it was written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The record there. In a CRM of contacts the same one for all leads of a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// First accepted.
    pub received_at: Timestamp,
}

impl OtherLead {
    /// Another lead of the person of `lead`; none for the lead itself.
    pub(crate) fn of(lead: &LeadRecord, other: LeadRecord) -> Option<Self> {
        let place = |lead: &LeadRecord| (lead.created_at, lead.lead_id.clone());
        (lead.lead_id != other.lead_id).then(|| Self {
            earlier: place(&other) < place(lead),
            campaign_id: other.content.campaign_id.as_str().to_owned(),
            lead_id: other.lead_id,
            status: other.status,
            provider: other.crm_provider,
            record_id: other.crm_record_id,
            received_at: other.created_at,
        })
    }
}
