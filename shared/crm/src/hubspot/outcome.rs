//! What the records of a plan came to, and what that is for each of its actions.

use std::collections::HashMap;

use lead::{Failure, LeadId};

use super::DEPENDENCY;
use super::errors::{Invalid, Reason, Refused};
use super::records::Written;
use super::resolve::{domain_of, is_person};
use crate::{Action, Effect, LeftOut, Object, Omission, RecordWrite};

/// What the records of a plan came to.
#[derive(Default)]
pub(super) struct Done {
    pub(super) contact: Option<Result<Written, Refused>>,
    pub(super) company: Option<Result<Written, Refused>>,
    /// By external id.
    pub(super) others: HashMap<String, Result<Written, Refused>>,
    /// What is wrong with associating the contact with the company.
    pub(super) tie: Option<Refused>,
}

impl Done {
    /// What became of an action.
    pub(super) fn of(&self, lead: &LeadId, action: &Action, external_id: &str) -> Result<Effect, Refused> {
        let nothing = || -> Refused {
            let message = "not sent, since an earlier write failed";
            Failure::transient("crm_unavailable", message).on(DEPENDENCY).into()
        };
        let is_of_lead = external_id == lead.as_str() || is_person(action.object());
        if !is_of_lead {
            // What is beside the lead is not written without the lead.
            if let Some(Err(refused)) = &self.contact {
                return Err(refused.clone());
            }
            let written = self.others.get(external_id).cloned().unwrap_or_else(|| Err(nothing()))?;
            return Ok(Effect::new(written.record_id, written.created));
        }
        let contact = self.contact.clone().unwrap_or_else(|| Err(nothing()))?;
        if domain_of(action).is_some() {
            if let Some(Err(refused)) = &self.company {
                return Err(refused.clone());
            }
            if let Some(refused) = &self.tie {
                return Err(refused.clone());
            }
        }
        Ok(Effect::new(contact.record_id, contact.created))
    }

    /// The fields of an action that did not reach its records: those that did not fit, and those that `HubSpot` refused.
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
    /// The reason as it is reported.
    fn left_out(self) -> LeftOut {
        match self {
            Self::Option => LeftOut::NotInPicklist,
            Self::TooLong => LeftOut::TooLong,
            Self::Owner => LeftOut::OwnerUnsuitable,
            Self::Unknown | Self::ReadOnly | Self::Taken | Self::Value => LeftOut::Refused,
        }
    }
}
