//! Lookup of the effect of an action whose outcome is unknown.

use lead::{Failure, LeadId};

use super::HubSpotCrm;
use super::resolve::{Hints, domain_of, is_person};
use crate::{Effect, Mode, Object, PlannedAction, RecordWrite};

impl HubSpotCrm {
    /// The effect of an action if it is complete: fields, associations, and the link from the lead to its
    /// contact.
    pub(super) async fn find_effect(
        &self,
        lead: &LeadId,
        planned: &PlannedAction,
    ) -> Result<Option<Effect>, Failure> {
        self.memory.note_written(lead, self.clock.now());
        let hints = Hints { thorough: true, ..Hints::default() };
        let resolution = self.resolve(lead, std::slice::from_ref(planned), hints).await?;
        let Some(contact) = resolution.contact.as_ref().filter(|contact| contact.linked) else {
            return Ok(None);
        };
        let action = &planned.action;
        let writes = resolution.actions.iter().flat_map(|resolved| &resolved.writes);
        let in_place = action.mode() == Mode::Create || writes.into_iter().all(RecordWrite::is_up_to_date);
        if !in_place {
            return Ok(None);
        }
        let writes = resolution.actions.iter().flat_map(|resolved| &resolved.writes);
        let left_out: Vec<_> = writes.flat_map(RecordWrite::omissions).collect();
        let found = |record_id: &str| Some(Effect::new(record_id, false).without(left_out.iter().cloned()));
        if !is_person(action.object()) {
            let other = resolution.others.get(planned.external_id(lead)).filter(|other| other.associated);
            return Ok(other.and_then(|other| found(&other.present.record_id)));
        }
        if domain_of(action).is_some()
            && let Some(company) = resolution.company.as_ref().and_then(|company| company.present.as_ref())
            && !self.is_associated(&contact.present.record_id, &company.record_id).await?
        {
            return Ok(None);
        }
        Ok(found(&contact.present.record_id))
    }

    async fn is_associated(&self, contact_id: &str, company_id: &str) -> Result<bool, Failure> {
        let (Some(contacts), Some(companies)) =
            (self.mapping.object(Object::Lead), self.mapping.object(Object::Company))
        else {
            return Ok(true);
        };
        let ids = vec![contact_id.to_owned()];
        let pairs = self.calls.associated(contacts.object(), companies.object(), ids).await?;
        Ok(pairs.iter().any(|(_, id)| id == company_id))
    }
}
