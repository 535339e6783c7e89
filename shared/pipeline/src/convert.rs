use crm::parameters::ConvertLead;
use crm::{Action, Authority, FieldChange, NotExecuted, Plan, Text};
use lead::{Actor, Failure, LeadId, LeadStatus};
use serde::Serialize;

use crate::Pipeline;

/// A lead's conversion to a contact, planned or executed.
#[derive(Clone, Debug, Serialize)]
pub struct Conversion {
    /// The lead.
    pub lead_id: LeadId,
    /// The CRM.
    pub provider: &'static str,
    /// The guard's reason to refuse the conversion. `None` if the guard permits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Failure>,
    /// The field changes that the conversion would make.
    pub changes: Vec<FieldChange>,
    /// The CRM's id of the new contact. `None` if the conversion was only planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
}

/// Why a lead is not converted.
#[derive(Clone, Debug)]
pub enum NotConverted {
    /// The lead does not exist.
    NoLead,
    /// The lead is not `synced`, so its record in the CRM may be missing or out of date.
    NotSynced(LeadStatus),
    /// The person is on the suppression list.
    Suppressed,
    /// The CRM is in shadow mode, or held by an operator.
    Shadowed,
    /// A dependency failed, for example the CRM or the store, or the guard refused the conversion.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for NotConverted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Pipeline {
    /// Converts a lead's record in the CRM to a contact. Without `apply`, previews the conversion instead. A
    /// conversion cannot be undone, so only an operator requests it and no plan contains it. Converting a
    /// lead again changes nothing.
    pub async fn convert(
        &self,
        actor: &Actor,
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
            self.store.record_conversion(actor, lead).await?;
            let outcome =
                self.guard.submit(&plan, Authority::Normal).await.map_err(
                    |not_executed| match not_executed {
                        NotExecuted::Held => NotConverted::Shadowed,
                        // A newer delivery was accepted since the status was read.
                        NotExecuted::Superseded | NotExecuted::Raced => {
                            NotConverted::NotSynced(LeadStatus::Queued)
                        }
                        NotExecuted::Failed(failure) => NotConverted::Failed(failure),
                    },
                )?;
            conversion.record_id = outcome.lead_record.map(|record| record.record_id);
        } else {
            let preview = self.guard.preview(&plan).await?;
            conversion.refusal = preview.reviews.into_iter().find_map(|review| review.refusal);
            conversion.changes = preview.changes;
        }
        Ok(conversion)
    }
}
