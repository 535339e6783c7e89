//! Results of a plan's record writes, and the outcome of each action derived from them.

use std::collections::HashMap;

use lead::{Failure, LeadId};

use super::DEPENDENCY;
use super::errors::{Invalid, Reason, Refusal};
use super::records::Written;
use super::resolve::{domain_of, is_person};
use crate::{Action, Effect, LeftOut, Object, Omission, RecordWrite};

/// The results of a plan's record writes. A record that was not attempted has none.
#[derive(Default)]
pub(super) struct WriteResults {
    pub(super) contact: Option<Result<Written, Refusal>>,
    pub(super) company: Option<Result<Written, Refusal>>,
    /// By external id.
    pub(super) others: HashMap<String, Result<Written, Refusal>>,
    /// Why associating the contact with the company failed.
    pub(super) association_refusal: Option<Refusal>,
}

impl WriteResults {
    /// The outcome of an action. Tasks, notes and deals share the failure of the lead's contact.
    pub(super) fn outcome(
        &self,
        lead: &LeadId,
        action: &Action,
        external_id: &str,
    ) -> Result<Effect, Refusal> {
        let not_sent = || -> Refusal {
            let message = "not sent, since an earlier write failed";
            Failure::transient("crm_unavailable", message).on(DEPENDENCY).into()
        };
        let is_of_lead = external_id == lead.as_str() || is_person(action.object());
        if !is_of_lead {
            if let Some(Err(refused)) = &self.contact {
                return Err(refused.clone());
            }
            let written = self.others.get(external_id).cloned().unwrap_or_else(|| Err(not_sent()))?;
            return Ok(Effect::new(written.record_id, written.created));
        }
        let contact = self.contact.clone().unwrap_or_else(|| Err(not_sent()))?;
        if domain_of(action).is_some() {
            if let Some(Err(refused)) = &self.company {
                return Err(refused.clone());
            }
            if let Some(refused) = &self.association_refusal {
                return Err(refused.clone());
            }
        }
        Ok(Effect::new(contact.record_id, contact.created))
    }

    /// The fields of an action that were not written: values that did not fit, and properties that `HubSpot`
    /// refused.
    pub(super) fn omissions(&self, writes: &[RecordWrite]) -> Vec<Omission> {
        let mut omissions = Vec::new();
        for write in writes {
            omissions.extend(write.omissions());
            let record = match write.object {
                Object::Company => self.company.as_ref(),
                object if is_person(object) => self.contact.as_ref(),
                _ => self.others.get(&write.external_id),
            };
            let refused = record.and_then(|written| written.as_ref().ok()).map(|written| &written.left_out);
            for change in write.changes.iter().filter(|change| change.left_out.is_none()) {
                let is_refused = |one: &&Invalid| one.property == change.field;
                omissions.extend(refused.into_iter().flatten().find(is_refused).map(|one| Omission {
                    object: write.object,
                    field: change.field.clone(),
                    source: change.source.clone(),
                    reason: one.reason.left_out(),
                }));
            }
        }
        omissions
    }
}

impl Reason {
    /// The reason in the CRM-independent report.
    fn left_out(self) -> LeftOut {
        match self {
            Self::Option => LeftOut::NotInPicklist,
            Self::TooLong => LeftOut::TooLong,
            Self::Owner => LeftOut::OwnerUnsuitable,
            Self::Unknown | Self::ReadOnly | Self::Taken | Self::Value => LeftOut::Refused,
        }
    }
}
