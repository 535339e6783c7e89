//! Resolution of a plan against the account: the records concerned, their current values, and the pending
//! writes.

use std::collections::{BTreeMap, HashMap};

use lead::{EmailAddress, Failure, LeadId};

use super::HubSpotCrm;
use super::adoption::MERGED;
use super::company::Company;
use super::schema::readable;
use crate::{
    Action, FieldChange, LeftOut, Mode, Object, OwnerStatus, PlannedAction, PresentRecord, RecordWrite,
};

/// The property with a contact's secondary addresses, separated by `;`.
const MORE_ADDRESSES: &str = "hs_additional_emails";

/// A plan resolved against the account's records.
pub(super) struct Resolution {
    /// The lead's existing contact.
    pub(super) contact: Option<Contact>,
    /// The company that the plan concerns.
    pub(super) company: Option<Company>,
    /// The existing tasks, notes and deals of the plan, by external id.
    pub(super) others: HashMap<String, Other>,
    /// The writes of each action.
    pub(super) actions: Vec<Resolved>,
}

impl Resolution {
    /// Every field that the actions touch, with its current value.
    pub(super) fn into_changes(self) -> Vec<FieldChange> {
        let writes = self.actions.into_iter().flat_map(|action| action.writes);
        writes.flat_map(|write| write.changes).collect()
    }
}

/// The lead's contact.
pub(super) struct Contact {
    pub(super) present: PresentRecord,
    /// Whether key or anchor already link it to the lead. Otherwise it was found by address and will be
    /// adopted.
    pub(super) linked: bool,
}

/// A task, note or deal.
pub(super) struct Other {
    pub(super) present: PresentRecord,
    /// Whether it is associated with the lead's contact.
    pub(super) associated: bool,
}

/// The writes of one action.
pub(super) struct Resolved {
    pub(super) writes: Vec<RecordWrite>,
}

/// Ids that help to find the lead's contact.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints<'a> {
    /// The contact that has the lead's address, from `HubSpot`'s refusal to create another one with it.
    pub(super) conflicting_id: Option<&'a str>,
    /// The contact that an earlier plan wrote for the lead.
    pub(super) written: Option<&'a str>,
}

/// Whether an action creates the lead's contact if it does not exist.
pub(super) fn creates_contact(action: &Action) -> bool {
    is_person(action.object()) && action.mode() != Mode::Update
}

/// Whether an object of the mapping is written to the lead's contact.
pub(super) fn is_person(object: Object) -> bool {
    matches!(object, Object::Lead | Object::Contact)
}

impl HubSpotCrm {
    /// Reads all records that the actions concern, and decides what each action writes.
    pub(super) async fn resolve(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        hints: Hints<'_>,
    ) -> Result<Resolution, Failure> {
        let contact = self.contact_of(lead, actions, hints).await?;
        let company = match actions.iter().find_map(|planned| domain_of(&planned.action)) {
            Some(domain) => self.company_of(domain).await?,
            None => None,
        };
        let others = self.others_of(lead, actions, contact.as_ref()).await?;
        let owners = actions.iter().filter_map(|planned| planned.action.owner()).map(str::to_owned);
        let owners = self.owners.get(&self.api, owners.collect()).await;
        let mut resolved = Vec::with_capacity(actions.len());
        for planned in actions {
            let mut writes = Vec::new();
            for target in self.mapping.targets(&planned.action) {
                let Some((_, schema)) = self.ready(target).await? else { continue };
                let (external_id, present) = match target {
                    Object::Lead | Object::Contact => {
                        (lead.as_str(), contact.as_ref().map(|contact| &contact.present))
                    }
                    Object::Company => {
                        let Some(company) = &company else { continue };
                        (company.domain.as_str(), company.present.as_ref())
                    }
                    Object::Task | Object::Activity | Object::Opportunity => {
                        let id = planned.external_id(lead);
                        (id, others.get(id).map(|other| &other.present))
                    }
                };
                let mapping = &self.mapping;
                let write =
                    RecordWrite::resolve(mapping, Some(&schema), planned, target, external_id, present);
                let deleted = company.as_ref().filter(|_| target == Object::Company);
                let deleted = deleted.and_then(|company| company.deleted.as_deref());
                writes.extend(write.map(|write| match deleted {
                    Some(record_id) => write.of_deleted(record_id),
                    None => write,
                }));
            }
            for write in &mut writes {
                write.leave_out(|change| refuses_owner(&owners, change));
            }
            resolved.push(Resolved { writes });
        }
        Ok(Resolution { contact, company, others, actions: resolved })
    }

    /// Finds the lead's contact: by key, by anchor, and, if an action has the e-mail address, by address.
    async fn contact_of(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        hints: Hints<'_>,
    ) -> Result<Option<Contact>, Failure> {
        let Some((mapping, schema)) = self.ready(Object::Lead).await? else { return Ok(None) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let mut properties = readable(&self.mapping, &[Object::Lead, Object::Contact], &schema);
        let own = [MORE_ADDRESSES, MERGED].into_iter().filter(|name| schema.0.contains_key(*name));
        properties.extend(own.map(str::to_owned));
        let email = actions.iter().find_map(|planned| address_of(&planned.action));
        let found = match (self.linked_contact(lead, object, key, &properties).await?, hints.written) {
            (None, Some(id)) => Some(self.written_contact(id, object, &properties).await?),
            (found, _) => found,
        };
        let mut linked = found.is_some();
        let found = match (found, email) {
            (None, Some(email)) => {
                self.contact_by_address(email, hints.conflicting_id, object, &properties).await?
            }
            (found, _) => found,
        };
        let Some(present) = found else { return Ok(None) };
        // Another process may have created it with the lead's key since the lookup by key.
        linked |= present.value(key).is_some_and(|held| held == lead.as_str());
        let is_written = actions.iter().any(|planned| is_person(planned.action.object()));
        let adopted = is_written && self.is_adopted(&present, key).await?;
        let present = PresentRecord { adopted, ..with_matching_address(present, email) };
        Ok(Some(Contact { present, linked }))
    }

    /// The contact that is linked to the lead by its key or, failing that, by the anchor.
    pub(super) async fn linked_contact(
        &self,
        lead: &LeadId,
        object: &str,
        key: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        if let Some(present) = self.api.read_record(object, key, lead.as_str(), properties).await? {
            return Ok(Some(present));
        }
        match self.anchored_contact(lead).await? {
            Some(id) => Ok(self.api.read_records(object, None, &[id.as_str()], properties).await?.pop()),
            None => Ok(None),
        }
    }

    /// The contact with the lead's address. If the lookup finds none, the contact that `HubSpot` named as its
    /// holder.
    async fn contact_by_address(
        &self,
        email: &EmailAddress,
        conflicting_id: Option<&str>,
        object: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        let found = self.api.read_record(object, "email", email.expose(), properties).await?;
        match (found, conflicting_id) {
            (None, Some(id)) => Ok(self.api.read_records(object, None, &[id], properties).await?.pop()),
            (found, _) => Ok(found),
        }
    }

    /// The existing tasks, notes and deals of the actions.
    async fn others_of(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        contact: Option<&Contact>,
    ) -> Result<HashMap<String, Other>, Failure> {
        let mut others = HashMap::new();
        for object in [Object::Task, Object::Activity, Object::Opportunity] {
            let of_object = actions.iter().filter(|planned| planned.action.object() == object);
            let mut ids: Vec<&str> = of_object.map(|planned| planned.external_id(lead)).collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                continue;
            }
            let Some((mapping, schema)) = self.ready(object).await? else { continue };
            let properties = readable(&self.mapping, &[object], &schema);
            let key = mapping.external_id();
            let found = self.api.read_records(mapping.object(), Some(key), &ids, &properties).await?;
            let associated = match (contact, self.mapping.object(Object::Lead)) {
                (Some(contact), Some(person)) => {
                    let ids: Vec<&str> = found.iter().map(|record| record.record_id.as_str()).collect();
                    let pairs = self.api.associated(mapping.object(), person.object(), &ids).await?;
                    let of_lead = pairs.into_iter().filter(|(_, id)| *id == contact.present.record_id);
                    of_lead.map(|(id, _)| id).collect()
                }
                _ => Vec::new(),
            };
            for present in found {
                let Some(id) = present.value(key).and_then(|id| id.as_str()).map(str::to_owned) else {
                    continue;
                };
                let associated = associated.contains(&present.record_id);
                others.insert(id, Other { present, associated });
            }
        }
        Ok(others)
    }
}

/// Why an owner cannot own the record, if the account says so.
fn refuses_owner(owners: &BTreeMap<String, OwnerStatus>, change: &FieldChange) -> Option<LeftOut> {
    let owner = change.new.as_ref().and_then(|owner| owner.as_str());
    let owner = owner.filter(|_| change.is_owner())?;
    owners.get(owner)?.refuses(change.object)
}

/// Reports the lead's address as the primary one if it is a secondary address of the contact.
///
/// The address then counts as written, so the contact keeps its primary address.
fn with_matching_address(mut present: PresentRecord, email: Option<&EmailAddress>) -> PresentRecord {
    let more = present.value(MORE_ADDRESSES).and_then(|more| more.as_str()).unwrap_or_default();
    if let Some(email) = email
        && more.split(';').any(|address| address.trim().eq_ignore_ascii_case(email.expose()))
    {
        present.fields.insert("email".to_owned(), email.expose().into());
    }
    present
}

/// The e-mail address of the person in an action.
fn address_of(action: &Action) -> Option<&EmailAddress> {
    match action {
        Action::UpsertLead(details) | Action::CreateLead(details) => Some(&details.email),
        Action::CreateContact(details) => Some(&details.email),
        _ => None,
    }
}

/// The domain of the company that an action concerns.
pub(super) fn domain_of(action: &Action) -> Option<&str> {
    match action {
        Action::SyncFirmographics(company) => Some(company.company_domain.expose()),
        Action::MatchAccount(account) => Some(account.account_domain.expose()),
        _ => None,
    }
}
