//! The other leads of the same person, one for each campaign.

use jiff::Timestamp;
use lead::{LeadId, LeadStatus};
use serde::Serialize;
use store::LeadRecord;

/// Another lead of the same person.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct OtherLead {
    /// The lead's id.
    pub lead_id: LeadId,
    /// The campaign.
    pub campaign_id: String,
    /// Whether it was received before the explained lead.
    pub earlier: bool,
    /// The lead's status.
    pub status: LeadStatus,
    /// The CRM with the lead's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The record's id. In a CRM of contacts, all leads of a person share one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// The time of the first acceptance.
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
