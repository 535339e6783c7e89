//! Resolution of a plan against the account: the records concerned, their current values, and the pending
//! writes.

use std::collections::{BTreeMap, HashMap};

use futures::future::{try_join, try_join_all};
use lead::{EmailAddress, Failure, LeadId};

use super::HubSpotCrm;
use super::adoption::MERGED;
use super::calls::{EMAIL, ReadLane};
use super::company::Company;
use super::facts::CONTACT_FACTS;
use super::schema::readable;
use crate::{
    Action, FieldChange, LeftOut, Mode, Object, ObjectSchema, OwnerStatus, PlannedAction, PresentRecord,
    RecordWrite,
};

/// The property with a contact's secondary addresses, separated by `;`.
pub(super) const MORE_ADDRESSES: &str = "hs_additional_emails";

/// A plan resolved against the account's records.
#[derive(Clone)]
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
    pub(super) fn changes(&self) -> Vec<FieldChange> {
        let writes = self.actions.iter().flat_map(|action| &action.writes);
        writes.flat_map(|write| write.changes.clone()).collect()
    }
}

/// The lead's contact.
#[derive(Clone)]
pub(super) struct Contact {
    pub(super) present: PresentRecord,
    /// Whether key or anchor already link it to the lead. Otherwise it was found by address and will be
    /// adopted.
    pub(super) linked: bool,
}

/// A task, note or deal.
#[derive(Clone)]
pub(super) struct Other {
    pub(super) present: PresentRecord,
    /// Whether it is associated with the lead's contact.
    pub(super) associated: bool,
}

/// The writes of one action.
#[derive(Clone)]
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
    /// Whether every record is looked up in every way. Otherwise a lead that was never written is looked up
    /// by its address only, and its tasks, notes and deals are taken to be absent: creating a record that
    /// exists is a conflict, after which the plan is resolved thoroughly.
    pub(super) thorough: bool,
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
        let domain = actions.iter().find_map(|planned| domain_of(&planned.action));
        let company = async {
            match domain {
                Some(domain) => self.company_of(domain, hints.thorough).await,
                None => Ok(None),
            }
        };
        let (mut contact, company) = try_join(self.contact_of(lead, actions, hints), company).await?;
        let is_linked = contact.as_ref().is_some_and(|contact| contact.linked);
        let others = async {
            if is_linked || self.is_looked_up(lead, hints) || !is_about_new_records(actions) {
                self.others_of(lead, actions, contact.as_ref()).await
            } else {
                Ok(HashMap::new())
            }
        };
        let (adopted, others) = try_join(self.is_adopted_by(actions, contact.as_ref()), others).await?;
        if let Some(contact) = &mut contact {
            contact.present.adopted = adopted;
        }
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
        let properties = self.contact_properties(&schema);
        let email = actions.iter().find_map(|planned| address_of(&planned.action));
        let (found, mut linked) = match (self.memory.followed_contact(lead, self.clock.now()), email) {
            (Some(followed), _) if !hints.thorough => (Some(followed), true),
            (_, Some(email)) if !self.is_looked_up(lead, hints) && is_about_new_records(actions) => {
                (self.contact_by_address(email, object, &properties).await?, false)
            }
            (_, email) => self.looked_up_contact(lead, email, hints, &properties).await?,
        };
        let Some(present) = found else { return Ok(None) };
        // Another process may have created it with the lead's key since the lookup by key.
        linked |= present.value(key).is_some_and(|held| held == lead.as_str());
        Ok(Some(Contact { present: with_matching_address(present, email), linked }))
    }

    /// Whether the contact is one that users maintain, if the actions write it.
    async fn is_adopted_by(
        &self,
        actions: &[PlannedAction],
        contact: Option<&Contact>,
    ) -> Result<bool, Failure> {
        let is_written = actions.iter().any(|planned| is_person(planned.action.object()));
        match (contact, self.mapping.object(Object::Lead)) {
            (Some(contact), Some(mapping)) if is_written => {
                self.is_adopted(&contact.present, mapping.external_id()).await
            }
            _ => Ok(false),
        }
    }

    /// Whether the lead is looked up in every way: a lead that may have been written before.
    fn is_looked_up(&self, lead: &LeadId, hints: Hints<'_>) -> bool {
        hints.thorough || hints.written.is_some() || self.memory.is_written(lead)
    }

    /// The contact by key, by anchor, as written before, and by address, and whether it is linked to the
    /// lead.
    async fn looked_up_contact(
        &self,
        lead: &LeadId,
        email: Option<&EmailAddress>,
        hints: Hints<'_>,
        properties: &[String],
    ) -> Result<(Option<PresentRecord>, bool), Failure> {
        let Some((mapping, _)) = self.ready(Object::Lead).await? else { return Ok((None, false)) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let linked = self.linked_contact(lead, object, key, properties).await?;
        match (linked, hints.written, email) {
            (Some(linked), ..) => return Ok((Some(linked), true)),
            (None, Some(id), _) => {
                return Ok((Some(self.written_contact(id, object, properties).await?), true));
            }
            (None, None, None) => return Ok((None, false)),
            (None, None, Some(email)) => {
                self.memory.forget_absent(email.expose());
                if let Some(found) = self.contact_by_address(email, object, properties).await? {
                    return Ok((Some(found), false));
                }
            }
        }
        // The lookup by address finds none, but HubSpot named the holder of the address.
        match hints.conflicting_id {
            Some(id) => Ok((self.calls.read_by_id(object, id, properties).await?, false)),
            None => Ok((None, false)),
        }
    }

    /// The properties of a contact to read: those that the mapping writes, and those that identify it or are
    /// facts.
    pub(super) fn contact_properties(&self, schema: &ObjectSchema) -> Vec<String> {
        let mut properties = readable(&self.mapping, &[Object::Lead, Object::Contact], schema);
        let own = [MORE_ADDRESSES, MERGED].into_iter().chain(CONTACT_FACTS);
        properties.extend(own.filter(|name| schema.0.contains_key(*name)).map(str::to_owned));
        properties.sort_unstable();
        properties.dedup();
        properties
    }

    /// The contact that is linked to the lead by its key or, failing that, by the anchor.
    pub(super) async fn linked_contact(
        &self,
        lead: &LeadId,
        object: &str,
        key: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        if let Some(present) = self.calls.read_by(object, key, lead.as_str(), properties).await? {
            return Ok(Some(present));
        }
        match self.anchored_contact(lead).await? {
            Some(id) => self.calls.read_by_id(object, &id, properties).await,
            None => Ok(None),
        }
    }

    /// The contact with an address. An address without a contact is remembered for some minutes.
    pub(super) async fn contact_by_address(
        &self,
        email: &EmailAddress,
        object: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        let email = email.expose();
        if self.memory.is_absent(email, self.clock.now()) {
            return Ok(None);
        }
        let found = self.calls.read_by(object, EMAIL, email, properties).await?;
        if found.is_none() {
            self.memory.note_absent(email, self.clock.now());
        }
        Ok(found)
    }

    /// The existing tasks, notes and deals of the actions.
    async fn others_of(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        contact: Option<&Contact>,
    ) -> Result<HashMap<String, Other>, Failure> {
        let kinds = [Object::Task, Object::Activity, Object::Opportunity];
        let found =
            try_join_all(kinds.map(|object| self.others_of_kind(object, lead, actions, contact))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn others_of_kind(
        &self,
        object: Object,
        lead: &LeadId,
        actions: &[PlannedAction],
        contact: Option<&Contact>,
    ) -> Result<Vec<(String, Other)>, Failure> {
        let of_object = actions.iter().filter(|planned| planned.action.object() == object);
        let mut ids: Vec<String> = of_object.map(|planned| planned.external_id(lead).to_owned()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let Some((mapping, schema)) = self.ready(object).await? else { return Ok(Vec::new()) };
        let properties = readable(&self.mapping, &[object], &schema);
        let key = mapping.external_id();
        let lane =
            ReadLane { object: mapping.object().to_owned(), unique: Some(key.to_owned()), archived: false };
        let found = self.calls.read(lane, ids, &properties).await?;
        let associated: Vec<String> = match (contact, self.mapping.object(Object::Lead)) {
            (Some(contact), Some(person)) => {
                let ids = found.iter().map(|record| record.record_id.clone()).collect();
                let pairs = self.calls.associated(mapping.object(), person.object(), ids).await?;
                let of_lead = pairs.into_iter().filter(|(_, id)| *id == contact.present.record_id);
                of_lead.map(|(id, _)| id).collect()
            }
            _ => Vec::new(),
        };
        let others = found.into_iter().filter_map(|present| {
            let id = present.value(key).and_then(|id| id.as_str())?.to_owned();
            let associated = associated.contains(&present.record_id);
            Some((id, Other { present, associated }))
        });
        Ok(others.collect())
    }
}

/// Whether actions can be the first of a lead: they create its contact, and change no task or deal that
/// exists.
fn is_about_new_records(actions: &[PlannedAction]) -> bool {
    let changes_other = |action: &Action| !is_person(action.object()) && action.mode() == Mode::Update;
    actions.iter().any(|planned| creates_contact(&planned.action))
        && !actions.iter().any(|planned| changes_other(&planned.action))
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
