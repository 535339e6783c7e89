//! Resolution of a plan against the account: the records concerned, their current values, and the pending
//! writes.

use std::collections::{BTreeMap, HashMap};

use futures::future::{try_join, try_join_all};
use lead::{Failure, LeadId};

use super::HubSpotCrm;
use super::calls::ReadLane;
use super::company::Company;
use super::contact::Contact;
use super::schema::readable;
use crate::{
    Action, FieldChange, LeftOut, Mode, Object, OwnerStatus, PlannedAction, PresentRecord, RecordWrite,
};

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
pub(super) fn is_about_new_records(actions: &[PlannedAction]) -> bool {
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

/// The domain of the company that an action concerns.
pub(super) fn domain_of(action: &Action) -> Option<&str> {
    match action {
        Action::SyncFirmographics(company) => Some(company.company_domain.expose()),
        Action::MatchAccount(account) => Some(account.account_domain.expose()),
        _ => None,
    }
}
