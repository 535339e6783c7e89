//! Doing a plan: each kind of record in one batch, and then what came of each action.

use std::collections::HashMap;

use lead::{Failure, FailureClass, LeadId};
use serde_json::{Map, Value, json};

use super::errors::{self, Meaning, Refused};
use super::leave_out::{By, Row};
use super::markup::as_sent;
use super::outcome::Done;
use super::records::{Rows, Written};
use super::resolve::{Hints, Resolution, domain_of, is_person, makes_the_contact};
use super::{DEPENDENCY, HubSpotCrm};
use crate::{Action, Effect, Mode, Object, PlannedAction};

/// How often a plan is resolved again because somebody else was quicker.
const MAX_ROUNDS: usize = 3;

/// What became of each action, from the first on.
type Outcomes = Vec<Result<Effect, Refused>>;

impl HubSpotCrm {
    /// Does the actions in order, and says of each what came of it.
    pub(super) async fn do_all(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Vec<Result<Effect, Failure>> {
        let mut outcomes = Outcomes::new();
        let mut holder: Option<String> = None;
        for round in 0..MAX_ROUNDS {
            outcomes = self.do_once(lead, actions, holder.as_deref()).await;
            let Some(Err(refused)) = outcomes.last() else { break };
            match refused.meaning {
                // Another process created the record since we looked: look again.
                Meaning::Conflict => holder = refused.holder.clone(),
                // The properties may not be what they were.
                Meaning::Invalid if round == 0 => self.schemas.forget(),
                _ => break,
            }
        }
        outcomes.into_iter().map(|outcome| outcome.map_err(Failure::from)).collect()
    }

    async fn do_once(&self, lead: &LeadId, actions: &[PlannedAction], holder: Option<&str>) -> Outcomes {
        let hints = Hints { holder, ..Hints::default() };
        let resolution = match self.resolve(lead, actions, hints).await {
            Ok(resolution) => resolution,
            Err(failure) => return vec![Err(failure.into())],
        };
        // What cannot be done is not sent, nor is what comes after it.
        let impossible = first_impossible(lead, actions, &resolution);
        let possible = &actions[..impossible.as_ref().map_or(actions.len(), |(index, _)| *index)];
        let done = self.write(lead, possible, &resolution).await;
        let mut outcomes = Outcomes::new();
        let mut created_told = false;
        for (planned, resolved) in possible.iter().zip(&resolution.actions) {
            let mut outcome = done.of(lead, &planned.action, planned.external_id(lead));
            outcome = outcome.map(|effect| effect.without(done.omissions(&resolved.writes)));
            // The record is new for the action that made it, and there for those that follow.
            if let Ok(effect) = &mut outcome
                && is_person(planned.action.object())
            {
                effect.created = effect.created && makes_the_contact(&planned.action) && !created_told;
                created_told |= effect.created;
            }
            let failed = outcome.is_err();
            outcomes.push(outcome);
            if failed {
                return outcomes;
            }
        }
        outcomes.extend(impossible.map(|(_, failure)| Err(failure.into())));
        outcomes
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
        done.contact = self.write_contact(lead, actions, resolution).await;
        let Some(Ok(contact)) = &done.contact else { return done };
        let contact_id = contact.record_id.clone();
        let is_about_company = |planned: &PlannedAction| domain_of(&planned.action).is_some();
        if let Some(Ok(company)) = &done.company
            && actions.iter().any(is_about_company)
        {
            done.tie = self.tie(&contact_id, &company.record_id).await.err().map(Refused::from);
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
    ) -> Option<Result<Written, Refused>> {
        let company = resolution.company.as_ref()?;
        let mapping = self.mapping.object(Object::Company)?;
        let fields = merged(actions.len(), resolution, |object| object == Object::Company);
        let is_synced = actions.iter().any(|planned| matches!(planned.action, Action::SyncFirmographics(_)));
        let key = mapping.external_id();
        match &company.present {
            Some(present) if !is_synced || (company.keyed && fields.is_empty()) => {
                Some(Ok(Written::untouched(&present.record_id)))
            }
            Some(present) => {
                let mut fields = fields;
                if !company.keyed {
                    fields.insert(key.to_owned(), json!(company.domain));
                }
                let row = (present.record_id.clone(), fields);
                Some(self.write_one(mapping.object(), By::Id, row).await)
            }
            None if is_synced && company.deleted.is_none() => {
                let row = (company.domain.clone(), fields);
                Some(self.write_one(mapping.object(), By::Upsert(key), row).await)
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
            return Some(self.write_one(mapping.object(), By::Upsert(mapping.external_id()), row).await);
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
            return Some(Ok(Written::untouched(id)));
        }
        Some(self.write_one(mapping.object(), By::Id, (id.clone(), fields)).await)
    }

    /// Writes one record. Where properties of it were left out, they are read again before the next record is written.
    async fn write_one(&self, object: &str, by: By<'_>, row: Row) -> Result<Written, Refused> {
        let written = only(self.api.write_records(object, by, &[row]).await);
        self.forget_refused(written.iter());
        written
    }

    fn forget_refused<'a>(&self, written: impl IntoIterator<Item = &'a Written>) {
        if written.into_iter().any(|written| !written.left_out.is_empty()) {
            self.schemas.forget();
        }
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
    ) -> HashMap<String, Result<Written, Refused>> {
        let mut results: HashMap<String, Result<Written, Refused>> = HashMap::new();
        let Some(mapping) = self.mapping.object(object) else { return results };
        let mut rows: Vec<Row> = Vec::new();
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
                results.insert(id.to_owned(), Ok(Written::untouched(&other.present.record_id)));
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
        match self.api.write_records(mapping.object(), By::Upsert(mapping.external_id()), &rows).await {
            Ok(written) => {
                self.forget_refused(written.iter().flatten());
                results.extend(rows.iter().map(|(id, _)| id.clone()).zip(written));
            }
            Err(refused) => {
                results.extend(rows.iter().map(|(id, _)| (id.clone(), Err(refused.clone()))));
                return results;
            }
        }
        let written = |id: &String| Some(results.get(id)?.as_ref().ok()?.record_id.clone());
        let ids: Vec<String> = loose.iter().filter_map(written).collect();
        if let Err(failure) = self.attach(object, mapping.object(), &ids, contact_id, company_id).await {
            for id in loose {
                results.insert(id, Err(failure.clone().into()));
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
    results?.pop().unwrap_or_else(|| Err(errors::unanswered_row()))
}

/// Whether a failure says that nothing else can be sent either.
fn is_contagious(written: Result<&Written, &Refused>) -> bool {
    written.is_err_and(|refused| refused.failure.class != FailureClass::Permanent)
}
