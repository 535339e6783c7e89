use crm::parameters::ConvertLead;
use crm::{Action, FieldChange, Plan, Text};
use lead::{Failure, LeadId, LeadStatus};
use serde::Serialize;

use crate::Pipeline;

/// A lead's conversion to a contact, planned or done.
#[derive(Clone, Debug, Serialize)]
pub struct Conversion {
    /// Which lead.
    pub lead_id: LeadId,
    /// Which CRM.
    pub provider: &'static str,
    /// Why the guard would refuse it; none where it would pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Failure>,
    /// What it would write to fields.
    pub changes: Vec<FieldChange>,
    /// The contact that the lead has become; none where it was only planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
}

/// Why a lead is not converted.
#[derive(Clone, Debug)]
pub enum NotConverted {
    /// There is no such lead.
    NoLead,
    /// The CRM does not have it as it stands.
    NotSynced(LeadStatus),
    /// The person is on the suppression list.
    Suppressed,
    /// The CRM is only shadowed, or held.
    Shadowed,
    /// Something failed, the CRM perhaps; or the guard refused.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for NotConverted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Pipeline {
    /// Has the CRM turn a lead's record into a contact, or with `apply` off says what that would do. Only an operator asks for
    /// it: it cannot be undone, and nothing plans it by itself. Asking again for a lead that was converted changes nothing.
    pub async fn convert(
        &self,
        lead: &LeadId,
        converted_status: Text<40>,
        apply: bool,
    ) -> Result<Conversion, NotConverted> {
        let record = self.store.lead(lead).await?.ok_or(NotConverted::NoLead)?;
        if record.status != LeadStatus::Synced {
            return Err(NotConverted::NotSynced(record.status));
        }
        if self.store.suppressed(&record.content.email).await?.is_some() {
            return Err(NotConverted::Suppressed);
        }
        let action = Action::ConvertLead(ConvertLead { converted_status });
        let plan = Plan::new(lead.clone(), record.delivery_id, 1, None, vec![action]);
        let mut conversion = Conversion {
            lead_id: lead.clone(),
            provider: self.guard.provider(),
            refusal: None,
            changes: Vec::new(),
            record_id: None,
        };
        if apply {
            if self.is_shadowed().await? {
                return Err(NotConverted::Shadowed);
            }
            conversion.record_id = self.guard.submit(&plan).await?.lead_record.map(|record| record.record_id);
        } else {
            let preview = self.guard.preview(&plan).await?;
            conversion.refusal = preview.reviews.into_iter().find_map(|review| review.refusal);
            conversion.changes = preview.changes;
        }
        Ok(conversion)
    }
}
