use crm::Preview;
use lead::{LeadEvent, LeadStatus};
use serde_json::{Value, json};

use super::transitions::{close, set_status};
use crate::audit::{self, AuditKind};
use crate::{DeliveryState, Result, Store, SuppressionKind};

/// The successful end of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Written to the CRM.
    Synced {
        /// The CRM.
        provider: &'static str,
        /// The record's id in the CRM.
        record_id: String,
    },
    /// Held for review.
    Held,
    /// The plan for the CRM is not carried out. Its counts go into the audit trail.
    Planned {
        /// The CRM.
        provider: &'static str,
        /// The version of the mapping.
        mapping_version: String,
        /// The effects that the plan would have had.
        preview: Preview,
    },
    /// Not written: it is the synthetic lead.
    Synthetic,
    /// Not written: the person is on the suppression list.
    Suppressed {
        /// The kind of entry that matches the person.
        by: SuppressionKind,
    },
}

impl Finish {
    /// The status of the lead.
    pub(crate) fn status(&self) -> LeadStatus {
        match self {
            Self::Synced { .. } => LeadStatus::Synced,
            Self::Held => LeadStatus::Held,
            Self::Planned { .. } => LeadStatus::Planned,
            Self::Synthetic => LeadStatus::Synthetic,
            Self::Suppressed { .. } => LeadStatus::Suppressed,
        }
    }

    /// The audit event, with the effects of a plan that was carried out.
    pub(crate) fn audited(&self, effects: &Value) -> (AuditKind, Value) {
        match self {
            Self::Synced { provider, record_id } => {
                let detail = json!({ "provider": provider, "record_id": record_id, "effects": effects });
                (AuditKind::Synced, detail)
            }
            Self::Held => (AuditKind::Held, json!({})),
            Self::Planned { provider, mapping_version, preview } => {
                let written = preview.changes.iter().filter(|change| change.left_out.is_none()).count();
                let refused = preview.reviews.iter().filter(|review| review.refusal.is_some()).count();
                let detail = json!({
                    "provider": provider, "mapping_version": mapping_version,
                    "actions": preview.reviews.len(), "refused": refused, "fields": written,
                });
                (AuditKind::Planned, detail)
            }
            Self::Synthetic => (AuditKind::SyntheticEnded, json!({})),
            Self::Suppressed { by } => (AuditKind::Suppressed, json!({ "by": by })),
        }
    }
}

impl Store {
    /// Closes an open delivery that a worker of another application on the same queue has processed.
    /// Idempotent.
    pub async fn record_worked_elsewhere(&self, event: &LeadEvent) -> Result<()> {
        let (now, lead) = (self.now_millis(), &event.lead_id);
        let mut transaction = self.begin_on(lead).await?;
        if let (delivery, Some(_)) = self.open_delivery(&mut transaction, event).await? {
            close(&mut transaction, &delivery, DeliveryState::Done, now).await?;
            let (status, kind) = (LeadStatus::WorkedElsewhere, AuditKind::WorkedElsewhere);
            set_status(&mut transaction, lead, &delivery, status, None, now).await?;
            audit::append(&mut transaction, lead, Some(&delivery), now, kind, &json!({})).await?;
        }
        transaction.commit().await
    }
}
