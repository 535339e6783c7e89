//! Doing a plan: each kind of record in one batch, and then what came of each action.

use std::collections::HashMap;

use lead::{Failure, FailureClass, LeadId};
use serde_json::{Map, Value, json};

use super::errors::{INVALID, Refused};
use super::markup::as_sent;
use super::records::{Rows, Written};
use super::resolve::{Resolution, domain_of, is_person, makes_the_contact};
use super::{DEPENDENCY, HubSpotCrm};
use crate::{Action, Effect, Mode, Object, PlannedAction};

/// How often a plan is resolved again because somebody else was quicker.
const MAX_ROUNDS: usize = 3;

/// What the records of a plan came to.
#[derive(Default)]
struct Done {
    contact: Option<Result<Written, Failure>>,
    company: Option<Result<Written, Failure>>,
    /// By external id.
    others: HashMap<String, Result<Written, Failure>>,
    /// What is wrong with associating the contact with the company.
    tie: Option<Failure>,
    /// The contact that has the lead's address already, where that kept us from creating one.
    holder: Option<String>,
}

impl HubSpotCrm {
    /// Does the actions in order, and says of each what came of it.
    pub(super) async fn do_all(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Vec<Result<Effect, Failure>> {
        let mut results = Vec::new();
        let mut holder = None;
        for round in 0..MAX_ROUNDS {
            (results, holder) = self.do_once(lead, actions, holder.as_deref()).await;
            let failure = results.last().and_then(|result| result.as_ref().err());
            match failure.map(|failure| failure.code.as_ref()) {
                // Somebody created the record since we looked: look again.
                Some("crm_conflict") => {}
                // The properties may not be what they were.
                Some(INVALID) if round == 0 => self.schemas.forget(),
                _ => break,
            }
        }
        results
    }

    /// The results, and the contact that turned out to have the lead's address.
    async fn do_once(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        holder: Option<&str>,
    ) -> (Vec<Result<Effect, Failure>>, Option<String>) {
        let resolution = match self.resolve(lead, actions, holder).await {
            Ok(resolution) => resolution,
            Err(failure) => return (vec![Err(failure)], None),
        };
        // What cannot be done is not sent, nor is what comes after it.
        let impossible = first_impossible(lead, actions, &resolution);
        let possible = &actions[..impossible.as_ref().map_or(actions.len(), |(index, _)| *index)];
        let done = self.write(lead, possible, &resolution).await;
        let mut results = Vec::new();
        let mut created_told = false;
        for planned in possible {
            let mut result = done.of(lead, &planned.action, planned.external_id(lead));
            // The record is new for the action that made it, and there for those that follow.
            if let Ok(effect) = &mut result
                && is_person(planned.action.object())
            {
                effect.created = effect.created && makes_the_contact(&planned.action) && !created_told;
                created_told |= effect.created;
            }
            let failed = result.is_err();
            results.push(result);
            if failed {
                return (results, done.holder);
            }
        }
        results.extend(impossible.map(|(_, failure)| Err(failure)));
        (results, done.holder)
    }

    /// The company first: `HubSpot` itself associates a new contact with the company of its address, and would create one.
    async fn write(&self, lead: &LeadId, actions: &[PlannedAction], resolution: &Resolution) -> Done {
        let mut done = Done::default();
        if actions.is_empty() {
            return done;
        }
        done.company = self.write_company(actions, resolution).await;
        if done.company.as_ref().is_some_and(|written| is_contagious(written.as_ref())) {
            done.contact = done.company.clone();
            return done;
        }
        let contact = self.write_contact(lead, actions, resolution).await;
        done.holder =
            contact.as_ref().and_then(|written| written.as_ref().err()).and_then(|it| it.holder.clone());
        done.contact = contact.map(|written| written.map_err(Failure::from));
        let Some(Ok(contact)) = &done.contact else { return done };
        let contact_id = contact.record_id.clone();
        let is_about_company = |planned: &PlannedAction| domain_of(&planned.action).is_some();
        if let Some(Ok(company)) = &done.company
            && actions.iter().any(is_about_company)
        {
            done.tie = self.tie(&contact_id, &company.record_id).await.err();
        }
        let company_id =
            done.company.as_ref().and_then(|company| Some(company.as_ref().ok()?.record_id.clone()));
        for object in [Object::Opportunity, Object::Task, Object::Activity] {
            let written = self
                .write_others(object, lead, actions, resolution, &contact_id, company_id.as_deref())
                .await;
            done.others.extend(written);
        }
        done
    }

    /// The company that firmographics go to; created where there is none. Where nothing is written: the one that is there.
    async fn write_company(
        &self,
        actions: &[PlannedAction],
        resolution: &Resolution,
    ) -> Option<Result<Written, Failure>> {
        let company = resolution.company.as_ref()?;
        let mapping = self.mapping.object(Object::Company)?;
        let fields = merged(actions.len(), resolution, |object| object == Object::Company);
        let is_synced = actions.iter().any(|planned| matches!(planned.action, Action::SyncFirmographics(_)));
        let key = mapping.external_id();
        match &company.present {
            Some(present) if !is_synced || (company.keyed && fields.is_empty()) => {
                Some(Ok(Written { record_id: present.record_id.clone(), created: false }))
            }
            Some(present) => {
                let mut fields = fields;
                if !company.keyed {
                    fields.insert(key.to_owned(), json!(company.domain));
                }
                let row = (present.record_id.clone(), fields);
                Some(only(self.api.update(mapping.object(), &[row]).await).map_err(Failure::from))
            }
            None if is_synced => {
                let row = (company.domain.clone(), fields);
                Some(only(self.api.upsert(mapping.object(), key, &[row]).await).map_err(Failure::from))
            }
            None => None,
        }
    }

    async fn write_contact(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: &Resolution,
    ) -> Option<Result<Written, Refused>> {
        let mapping = self.mapping.object(Object::Lead)?;
        let mut fields = merged(actions.len(), resolution, is_person);
        let Some(contact) = &resolution.contact else {
            let row = (lead.as_str().to_owned(), fields);
            return Some(only(self.api.upsert(mapping.object(), mapping.external_id(), &[row]).await));
        };
        let id = &contact.present.record_id;
        if !contact.ours {
            if let Err(failure) = self.anchor(lead, actions, id).await {
                return Some(Err(failure.into()));
            }
            // The quicker way to the contact, where it is free. The anchor is what holds.
            if contact.present.value(mapping.external_id()).is_none() {
                fields.insert(mapping.external_id().to_owned(), json!(lead.as_str()));
            }
        }
        if fields.is_empty() {
            return Some(Ok(Written { record_id: id.clone(), created: false }));
        }
        Some(only(self.api.update(mapping.object(), &[(id.clone(), fields)]).await))
    }

    async fn tie(&self, contact_id: &str, company_id: &str) -> Result<(), Failure> {
        let (Some(contacts), Some(companies)) =
            (self.mapping.object(Object::Lead), self.mapping.object(Object::Company))
        else {
            return Ok(());
        };
        let pair = (contact_id.to_owned(), company_id.to_owned());
        self.api.associate(contacts.object(), companies.object(), &[pair]).await
    }

    /// Tasks, notes or deals: written by key, then associated with the contact, deals with the company as well.
    async fn write_others(
        &self,
        object: Object,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: &Resolution,
        contact_id: &str,
        company_id: Option<&str>,
    ) -> HashMap<String, Result<Written, Failure>> {
        let mut results: HashMap<String, Result<Written, Failure>> = HashMap::new();
        let Some(mapping) = self.mapping.object(object) else { return results };
        let mut rows: Vec<(String, Map<String, Value>)> = Vec::new();
        let mut loose: Vec<String> = Vec::new();
        for (planned, resolved) in actions.iter().zip(&resolution.actions) {
            if planned.action.object() != object {
                continue;
            }
            let id = planned.external_id(lead);
            let fields: Map<String, Value> =
                as_sent(resolved.writes.iter().flat_map(crate::RecordWrite::fields).collect());
            let other = resolution.others.get(id);
            if let Some(other) = other {
                let written = Written { record_id: other.present.record_id.clone(), created: false };
                results.insert(id.to_owned(), Ok(written));
            }
            if other.is_none_or(|other| !other.attached) {
                loose.push(id.to_owned());
            }
            if other.is_none() || !fields.is_empty() {
                match rows.iter_mut().find(|(known, _)| known == id) {
                    Some((_, known)) => known.extend(fields),
                    None => rows.push((id.to_owned(), fields)),
                }
            }
        }
        match self.api.upsert(mapping.object(), mapping.external_id(), &rows).await {
            Ok(written) => {
                let written = written.into_iter().map(|row| row.map_err(Failure::from));
                results.extend(rows.iter().map(|(id, _)| id.clone()).zip(written));
            }
            Err(Refused { failure, .. }) => {
                results.extend(rows.iter().map(|(id, _)| (id.clone(), Err(failure.clone()))));
                return results;
            }
        }
        let written = |id: &String| Some(results.get(id)?.as_ref().ok()?.record_id.clone());
        let ids: Vec<String> = loose.iter().filter_map(written).collect();
        if let Err(failure) = self.attach(object, mapping.object(), &ids, contact_id, company_id).await {
            for id in loose {
                results.insert(id, Err(failure.clone()));
            }
        }
        results
    }

    async fn attach(
        &self,
        object: Object,
        name: &str,
        ids: &[String],
        contact_id: &str,
        company_id: Option<&str>,
    ) -> Result<(), Failure> {
        let pairs = |to: &str| ids.iter().map(|id| (id.clone(), to.to_owned())).collect::<Vec<_>>();
        if let Some(contacts) = self.mapping.object(Object::Lead) {
            self.api.associate(name, contacts.object(), &pairs(contact_id)).await?;
        }
        if let (Object::Opportunity, Some(company_id), Some(companies)) =
            (object, company_id, self.mapping.object(Object::Company))
        {
            self.api.associate(name, companies.object(), &pairs(company_id)).await?;
        }
        Ok(())
    }
}

impl Done {
    fn of(&self, lead: &LeadId, action: &Action, external_id: &str) -> Result<Effect, Failure> {
        let nothing = || {
            Failure::transient("crm_unavailable", "not sent, since an earlier write failed").on(DEPENDENCY)
        };
        let is_of_lead = external_id == lead.as_str() || is_person(action.object());
        if !is_of_lead {
            // What is beside the lead is not written without the lead.
            if let Some(Err(failure)) = &self.contact {
                return Err(failure.clone());
            }
            let written = self.others.get(external_id).cloned().unwrap_or_else(|| Err(nothing()))?;
            return Ok(Effect::new(written.record_id, written.created));
        }
        let contact = self.contact.clone().unwrap_or_else(|| Err(nothing()))?;
        if domain_of(action).is_some() {
            if let Some(Err(failure)) = &self.company {
                return Err(failure.clone());
            }
            if let Some(failure) = &self.tie {
                return Err(failure.clone());
            }
        }
        Ok(Effect::new(contact.record_id, contact.created))
    }
}

/// The first action that needs a record which is not there and which none before it makes.
fn first_impossible(
    lead: &LeadId,
    actions: &[PlannedAction],
    resolution: &Resolution,
) -> Option<(usize, Failure)> {
    let mut has_contact = resolution.contact.is_some();
    for (index, planned) in actions.iter().enumerate() {
        has_contact |= makes_the_contact(&planned.action);
        let missing = |what: &str| {
            let message = format!("there is no {what} in HubSpot to change");
            Some((index, Failure::permanent("crm_record_missing", message).on(DEPENDENCY)))
        };
        if !has_contact {
            return missing("contact of the lead");
        }
        let id = planned.external_id(lead);
        let is_made = || actions[..index].iter().any(|earlier| earlier.external_id(lead) == id);
        let is_update = !is_person(planned.action.object()) && planned.action.mode() == Mode::Update;
        if is_update && !resolution.others.contains_key(id) && !is_made() {
            return missing(if planned.action.object() == Object::Task { "task" } else { "deal" });
        }
    }
    None
}

/// What the first so many actions write to one kind of record, each field as the first of them has it.
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

/// The result of the one row of a batch.
fn only(results: Result<Rows, Refused>) -> Result<Written, Refused> {
    let silence = || Failure::transient("crm_unavailable", "HubSpot answered nothing").on(DEPENDENCY);
    results?.pop().unwrap_or_else(|| Err(silence().into()))
}

/// Whether a failure says that nothing else can be sent either.
fn is_contagious(written: Result<&Written, &Failure>) -> bool {
    written.is_err_and(|failure| failure.class != FailureClass::Permanent)
}
