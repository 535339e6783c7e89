use crm::Preview;
use lead::{LeadEvent, LeadStatus};
use serde_json::{Value, json};

use super::transitions::{close, set_status};
use super::unenriched;
use crate::assignment::park;
use crate::audit::{self, AuditKind};
use crate::{DeliveryState, Result, Store, SuppressionKind, Work};

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

impl Store {
    /// Ends a delivery successfully; `effects` go into the audit trail. Idempotent.
    pub async fn finish(&self, work: &Work, finish: &Finish, effects: &Value) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&work.lead_id).await?;
        if close(&mut transaction, &work.delivery_id, DeliveryState::Done, now).await? {
            let (status, kind, detail) = match finish {
                Finish::Synced { provider, record_id } => {
                    sqlx::query("UPDATE lead SET crm_provider = $2, crm_record_id = $3 WHERE lead_id = $1")
                        .bind(work.lead_id.as_str())
                        .bind(*provider)
                        .bind(record_id)
                        .execute(&mut *transaction)
                        .await?;
                    let detail = json!({ "provider": provider, "record_id": record_id, "effects": effects });
                    (LeadStatus::Synced, AuditKind::Synced, detail)
                }
                Finish::Held => (LeadStatus::Held, AuditKind::Held, json!({})),
                Finish::Planned { provider, mapping_version, preview } => {
                    let written = preview.changes.iter().filter(|change| change.left_out.is_none()).count();
                    let refused = preview.reviews.iter().filter(|review| review.refusal.is_some()).count();
                    let detail = json!({
                        "provider": provider, "mapping_version": mapping_version,
                        "actions": preview.reviews.len(), "refused": refused, "fields": written,
                    });
                    (LeadStatus::Planned, AuditKind::Planned, detail)
                }
                Finish::Synthetic => (LeadStatus::Synthetic, AuditKind::SyntheticEnded, json!({})),
                Finish::Suppressed { by } => {
                    (LeadStatus::Suppressed, AuditKind::Suppressed, json!({ "by": by }))
                }
            };
            set_status(&mut transaction, &work.lead_id, &work.delivery_id, status, None, now).await?;
            if status != LeadStatus::Suppressed {
                unenriched::schedule(&mut transaction, &work.delivery_id, now).await?;
            }
            if status != LeadStatus::Synced {
                park(&mut transaction, &work.lead_id, now).await?;
            }
            audit::append(&mut transaction, &work.lead_id, Some(&work.delivery_id), now, kind, &detail)
                .await?;
        }
        transaction.commit().await
    }

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
