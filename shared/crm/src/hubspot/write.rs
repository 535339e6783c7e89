//! The writes of a resolved plan.

use futures::future::join_all;
use lead::{FailureClass, LeadId};
use serde_json::{Map, Value, json};

use super::HubSpotCrm;
use super::calls::EMAIL;
use super::contact::Contact;
use super::errors::{self, Refusal};
use super::facts::PRIMARY_COMPANY;
use super::markup::escaped;
use super::records::{Association, By, Row, Written, association_type};
use super::resolve::{Other, Resolution, domain_of, is_person};
use super::results::WriteResults;
use crate::{Action, Object, ObjectMapping, PlannedAction};

impl HubSpotCrm {
    /// Writes the company before the contact, because `HubSpot` associates a new contact with the company of
    /// its address domain and creates that company if it is missing.
    pub(super) async fn write(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: &Resolution,
        thorough: bool,
    ) -> WriteResults {
        let mut results = WriteResults::default();
        if actions.is_empty() {
            return results;
        }
        results.company = self.write_company(actions, resolution).await;
        if results.company.as_ref().is_some_and(|written| ends_plan(written.as_ref())) {
            results.contact = results.company.clone();
            return results;
        }
        let company_id =
            results.company.as_ref().and_then(|company| Some(company.as_ref().ok()?.record_id.clone()));
        let is_about_company = actions.iter().any(|planned| domain_of(&planned.action).is_some());
        let company_of_contact = company_id.as_deref().filter(|_| is_about_company);
        results.contact = self.write_contact(lead, actions, resolution, company_of_contact, thorough).await;
        let Some(Ok(contact)) = &results.contact else { return results };
        let contact_id = contact.record_id.clone();
        if let (Some(company_id), Some(contact)) = (company_of_contact, &resolution.contact) {
            let associated = self.associate_company(contact, company_id).await;
            results.association_refusal = associated.err();
        }
        let kinds = [Object::Opportunity, Object::Task, Object::Activity];
        let to = |object| OtherWrite {
            object,
            contact_id: &contact_id,
            company_id: company_id.as_deref().filter(|_| object == Object::Opportunity),
        };
        let written =
            join_all(kinds.map(|object| self.write_others(to(object), lead, actions, resolution))).await;
        results.others.extend(written.into_iter().flatten());
        results
    }

    /// Writes firmographics to the company, which is created if it does not exist.
    ///
    /// If there is nothing to write, the result is the existing company. None if the plan concerns no
    /// company, or if the company neither exists nor may be created.
    async fn write_company(
        &self,
        actions: &[PlannedAction],
        resolution: &Resolution,
    ) -> Option<Result<Written, Refusal>> {
        let company = resolution.company.as_ref()?;
        let mapping = self.mapping.object(Object::Company)?;
        let mut fields = merged(actions.len(), resolution, |object| object == Object::Company);
        let is_synced = actions.iter().any(|planned| matches!(planned.action, Action::SyncFirmographics(_)));
        let key = mapping.external_id();
        let (by, row) = match &company.present {
            Some(present) if !is_synced || (company.keyed && fields.is_empty()) => {
                return Some(Ok(Written::unchanged(&present.record_id)));
            }
            Some(present) => {
                if !company.keyed {
                    fields.insert(key.to_owned(), json!(company.domain));
                }
                (By::Id, Row::new(&present.record_id, fields.clone()))
            }
            None if is_synced && company.deleted.is_none() => {
                (By::Upsert(key.to_owned()), Row::new(&company.domain, fields.clone()))
            }
            None => return None,
        };
        let written = self.write_one(mapping.object(), by, row).await;
        match &written {
            Ok(written) if written.left_out.is_empty() => {
                let now = self.clock.now();
                self.memory.note_company_written(company, key, &written.record_id, fields, now);
            }
            _ => self.memory.forget_companies(&company.domain),
        }
        Some(written)
    }

    /// Creates the contact together with its association with the company, or updates it.
    async fn write_contact(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: &Resolution,
        company_id: Option<&str>,
        thorough: bool,
    ) -> Option<Result<Written, Refusal>> {
        let mapping = self.mapping.object(Object::Lead)?;
        let mut fields = merged(actions.len(), resolution, is_person);
        let Some(contact) = &resolution.contact else {
            if let Some(email) = fields.get(EMAIL).and_then(Value::as_str) {
                self.memory.forget_absent(email);
            }
            let row = Row::new(lead.as_str(), fields);
            let companies = self.mapping.object(Object::Company).map(ObjectMapping::object);
            let to: Vec<_> = companies.zip(company_id).into_iter().collect();
            let key = mapping.external_id().to_owned();
            return Some(self.create(mapping.object(), key, row, &to).await);
        };
        let id = &contact.present.record_id;
        if !contact.linked {
            if let Err(refused) = self.anchor(lead, actions, id, thorough).await {
                return Some(Err(refused));
            }
            // A lookup by key is cheaper than one by anchor, but the key may belong to another lead already.
            if contact.present.value(mapping.external_id()).is_none() {
                fields.insert(mapping.external_id().to_owned(), json!(lead.as_str()));
            }
        }
        if fields.is_empty() {
            return Some(Ok(Written::unchanged(id)));
        }
        self.memory.forget_contact(lead);
        Some(self.write_one(mapping.object(), By::Id, Row::new(id, fields)).await)
    }

    /// Creates a record with associations to other records, given by object and id. A record that exists is a
    /// conflict.
    pub(super) async fn create(
        &self,
        object: &str,
        key: String,
        mut row: Row,
        to: &[(&str, &str)],
    ) -> Result<Written, Refusal> {
        let mut separate = Vec::new();
        for (to_object, to_id) in to {
            match association_type(object, to_object) {
                Some(type_id) => row.associations.push(Association { to_id: (*to_id).to_owned(), type_id }),
                None => separate.push((*to_object, *to_id)),
            }
        }
        let written = self.write_one(object, By::Create(key), row).await?;
        for to in separate {
            self.calls.associate((object, &written.record_id), to).await?;
        }
        Ok(written)
    }

    /// Writes one record. If `HubSpot` refused properties of it, the cached properties are invalidated.
    async fn write_one(&self, object: &str, by: By, row: Row) -> Result<Written, Refusal> {
        let written = self.calls.write(object, by, row).await?;
        if !written.left_out.is_empty() {
            self.schemas.invalidate();
        }
        Ok(written)
    }

    /// Associates an existing contact with a company, unless it is the contact's primary one.
    async fn associate_company(&self, contact: &Contact, company_id: &str) -> Result<(), Refusal> {
        let (Some(contacts), Some(companies)) =
            (self.mapping.object(Object::Lead), self.mapping.object(Object::Company))
        else {
            return Ok(());
        };
        if contact.present.value(PRIMARY_COMPANY).is_some_and(|primary| primary == company_id) {
            return Ok(());
        }
        let from = (contacts.object(), contact.present.record_id.as_str());
        self.calls.associate(from, (companies.object(), company_id)).await
    }

    /// Writes the tasks, notes or deals of a plan, associated with the contact, and deals with the company
    /// too.
    async fn write_others(
        &self,
        to: OtherWrite<'_>,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: &Resolution,
    ) -> Vec<(String, Result<Written, Refusal>)> {
        let mut records: Vec<(String, Map<String, Value>)> = Vec::new();
        for (planned, resolved) in actions.iter().zip(&resolution.actions) {
            if planned.action.object() != to.object {
                continue;
            }
            let id = planned.external_id(lead);
            let fields: Map<String, Value> =
                escaped(resolved.writes.iter().flat_map(crate::RecordWrite::fields).collect());
            match records.iter_mut().find(|(known, _)| known == id) {
                Some((_, known)) => known.extend(fields),
                None => records.push((id.to_owned(), fields)),
            }
        }
        let writes = records.into_iter().map(async |(id, fields)| {
            let written = self.write_other(&to, resolution.others.get(&id), &id, fields).await;
            (id, written)
        });
        join_all(writes).await
    }

    async fn write_other(
        &self,
        to: &OtherWrite<'_>,
        present: Option<&Other>,
        id: &str,
        fields: Map<String, Value>,
    ) -> Result<Written, Refusal> {
        let Some(mapping) = self.mapping.object(to.object) else { return Err(errors::unanswered_row()) };
        let object = |object| self.mapping.object(object).map(ObjectMapping::object);
        let contact = object(Object::Lead).map(|contacts| (contacts, to.contact_id));
        let company = object(Object::Company).zip(to.company_id);
        let linked: Vec<(&str, &str)> = contact.into_iter().chain(company).collect();
        let Some(other) = present else {
            let key = mapping.external_id().to_owned();
            return self.create(mapping.object(), key, Row::new(id, fields), &linked).await;
        };
        let record_id = other.present.record_id.as_str();
        let mut written = Written::unchanged(record_id);
        if !fields.is_empty() {
            written = self.write_one(mapping.object(), By::Id, Row::new(record_id, fields)).await?;
        }
        if !other.associated {
            for to in linked {
                self.calls.associate((mapping.object(), record_id), to).await?;
            }
        }
        Ok(written)
    }
}

/// What the tasks, notes or deals of a plan are associated with.
struct OtherWrite<'a> {
    object: Object,
    contact_id: &'a str,
    company_id: Option<&'a str>,
}

/// The fields that the first `actions` actions write to objects matching `of`. The first value of a field
/// wins.
fn merged(actions: usize, resolution: &Resolution, of: impl Fn(Object) -> bool) -> Map<String, Value> {
    let mut fields = Map::new();
    for write in resolution.actions.iter().take(actions).flat_map(|resolved| &resolved.writes) {
        if of(write.object) {
            for (name, value) in write.fields() {
                fields.entry(name).or_insert(value);
            }
        }
    }
    fields
}

/// Whether a failure ends the plan: one that is not permanent would affect the following calls too.
fn ends_plan(written: Result<&Written, &Refusal>) -> bool {
    written.is_err_and(|refused| refused.failure.class() != FailureClass::Permanent)
}
