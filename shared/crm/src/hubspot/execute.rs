//! Execution of a plan: one batch per kind of record, then one result per action.

use std::collections::HashMap;

use lead::{Failure, FailureClass, LeadId};
use serde_json::{Map, Value, json};

use super::errors::{self, Refusal, RefusalKind};
use super::leave_out::{By, Row};
use super::markup::escaped;
use super::records::{Rows, Written};
use super::resolve::{Hints, Resolution, creates_contact, domain_of, is_person};
use super::results::WriteResults;
use super::{DEPENDENCY, HubSpotCrm};
use crate::{Action, Effect, Mode, Object, PlannedAction};

/// The maximum number of times a plan is resolved, counting repeats after a conflict with another writer.
const MAX_ROUNDS: usize = 3;

/// The results of the actions in order, up to and including the first failure.
type Outcomes = Vec<Result<Effect, Refusal>>;

impl HubSpotCrm {
    /// Executes the actions in order. Returns one result per action, up to and including the first failure.
    pub(super) async fn execute_plan(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Vec<Result<Effect, Failure>> {
        let mut outcomes = Outcomes::new();
        let mut conflicting_id: Option<String> = None;
        for round in 0..MAX_ROUNDS {
            outcomes = self.execute_once(lead, actions, conflicting_id.as_deref()).await;
            let Some(Err(refused)) = outcomes.last() else { break };
            match refused.kind {
                // Another writer created the record after it was read. The next round reads it.
                RefusalKind::Conflict => conflicting_id = refused.conflicting_id.clone(),
                // The cached properties may be outdated.
                RefusalKind::Invalid if round == 0 => self.schemas.invalidate(),
                _ => break,
            }
        }
        outcomes.into_iter().map(|outcome| outcome.map_err(Failure::from)).collect()
    }

    async fn execute_once(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        conflicting_id: Option<&str>,
    ) -> Outcomes {
        let hints = Hints { conflicting_id, ..Hints::default() };
        let resolution = match self.resolve(lead, actions, hints).await {
            Ok(resolution) => resolution,
            Err(failure) => return vec![Err(failure.into())],
        };
        // The first action whose record is missing ends the plan.
        let impossible = first_impossible(lead, actions, &resolution);
        let possible = &actions[..impossible.as_ref().map_or(actions.len(), |(index, _)| *index)];
        let results = self.write(lead, possible, &resolution).await;
        let mut outcomes = Outcomes::new();
        let mut creation_reported = false;
        for (planned, resolved) in possible.iter().zip(&resolution.actions) {
            let mut outcome = results.outcome(lead, &planned.action, planned.external_id(lead));
            outcome = outcome.map(|effect| effect.without(results.omissions(&resolved.writes)));
            // Only the first action that creates the contact reports it as created.
            if let Ok(effect) = &mut outcome
                && is_person(planned.action.object())
            {
                effect.created = effect.created && creates_contact(&planned.action) && !creation_reported;
                creation_reported |= effect.created;
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

    /// Writes the company before the contact, because `HubSpot` associates a new contact with the company of
    /// its address domain and creates that company if it is missing.
    async fn write(&self, lead: &LeadId, actions: &[PlannedAction], resolution: &Resolution) -> WriteResults {
        let mut results = WriteResults::default();
        if actions.is_empty() {
            return results;
        }
        results.company = self.write_company(actions, resolution).await;
        if results.company.as_ref().is_some_and(|written| ends_plan(written.as_ref())) {
            results.contact = results.company.clone();
            return results;
        }
        results.contact = self.write_contact(lead, actions, resolution).await;
        let Some(Ok(contact)) = &results.contact else { return results };
        let contact_id = contact.record_id.clone();
        let is_about_company = |planned: &PlannedAction| domain_of(&planned.action).is_some();
        if let Some(Ok(company)) = &results.company
            && actions.iter().any(is_about_company)
        {
            let associated = self.associate_company(&contact_id, &company.record_id).await;
            results.association_refusal = associated.err().map(Refusal::from);
        }
        let company_id =
            results.company.as_ref().and_then(|company| Some(company.as_ref().ok()?.record_id.clone()));
        for object in [Object::Opportunity, Object::Task, Object::Activity] {
            let written = self
                .write_others(object, lead, actions, resolution, &contact_id, company_id.as_deref())
                .await;
            results.others.extend(written);
        }
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
        let fields = merged(actions.len(), resolution, |object| object == Object::Company);
        let is_synced = actions.iter().any(|planned| matches!(planned.action, Action::SyncFirmographics(_)));
        let key = mapping.external_id();
        match &company.present {
            Some(present) if !is_synced || (company.keyed && fields.is_empty()) => {
                Some(Ok(Written::unchanged(&present.record_id)))
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
    ) -> Option<Result<Written, Refusal>> {
        let mapping = self.mapping.object(Object::Lead)?;
        let mut fields = merged(actions.len(), resolution, is_person);
        let Some(contact) = &resolution.contact else {
            let row = (lead.as_str().to_owned(), fields);
            return Some(self.write_one(mapping.object(), By::Upsert(mapping.external_id()), row).await);
        };
        let id = &contact.present.record_id;
        if !contact.linked {
            if let Err(failure) = self.anchor(lead, actions, id).await {
                return Some(Err(failure.into()));
            }
            // A lookup by key is cheaper than one by anchor, but the key may belong to another lead already.
            if contact.present.value(mapping.external_id()).is_none() {
                fields.insert(mapping.external_id().to_owned(), json!(lead.as_str()));
            }
        }
        if fields.is_empty() {
            return Some(Ok(Written::unchanged(id)));
        }
        Some(self.write_one(mapping.object(), By::Id, (id.clone(), fields)).await)
    }

    /// Writes one record. If `HubSpot` refused properties of it, the cached properties are invalidated.
    async fn write_one(&self, object: &str, by: By<'_>, row: Row) -> Result<Written, Refusal> {
        let written = single_row(self.api.write_records(object, by, &[row]).await);
        self.invalidate_if_left_out(written.iter());
        written
    }

    fn invalidate_if_left_out<'a>(&self, written: impl IntoIterator<Item = &'a Written>) {
        if written.into_iter().any(|written| !written.left_out.is_empty()) {
            self.schemas.invalidate();
        }
    }

    async fn associate_company(&self, contact_id: &str, company_id: &str) -> Result<(), Failure> {
        let (Some(contacts), Some(companies)) =
            (self.mapping.object(Object::Lead), self.mapping.object(Object::Company))
        else {
            return Ok(());
        };
        let pair = (contact_id.to_owned(), company_id.to_owned());
        self.api.associate(contacts.object(), companies.object(), &[pair]).await
    }

    /// Writes tasks, notes or deals by key, then associates them with the contact, and deals with the company
    /// too.
    async fn write_others(
        &self,
        object: Object,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: &Resolution,
        contact_id: &str,
        company_id: Option<&str>,
    ) -> HashMap<String, Result<Written, Refusal>> {
        let mut results: HashMap<String, Result<Written, Refusal>> = HashMap::new();
        let Some(mapping) = self.mapping.object(object) else { return results };
        let mut rows: Vec<Row> = Vec::new();
        let mut unassociated: Vec<String> = Vec::new();
        for (planned, resolved) in actions.iter().zip(&resolution.actions) {
            if planned.action.object() != object {
                continue;
            }
            let id = planned.external_id(lead);
            let fields: Map<String, Value> =
                escaped(resolved.writes.iter().flat_map(crate::RecordWrite::fields).collect());
            let other = resolution.others.get(id);
            if let Some(other) = other {
                results.insert(id.to_owned(), Ok(Written::unchanged(&other.present.record_id)));
            }
            if other.is_none_or(|other| !other.associated) {
                unassociated.push(id.to_owned());
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
                self.invalidate_if_left_out(written.iter().flatten());
                results.extend(rows.iter().map(|(id, _)| id.clone()).zip(written));
            }
            Err(refused) => {
                results.extend(rows.iter().map(|(id, _)| (id.clone(), Err(refused.clone()))));
                return results;
            }
        }
        let written = |id: &String| Some(results.get(id)?.as_ref().ok()?.record_id.clone());
        let ids: Vec<String> = unassociated.iter().filter_map(written).collect();
        if let Err(failure) =
            self.associate_others(object, mapping.object(), &ids, contact_id, company_id).await
        {
            for id in unassociated {
                results.insert(id, Err(failure.clone().into()));
            }
        }
        results
    }

    async fn associate_others(
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

/// The first action that needs a record that neither exists nor is created by an earlier action, with its
/// failure.
fn first_impossible(
    lead: &LeadId,
    actions: &[PlannedAction],
    resolution: &Resolution,
) -> Option<(usize, Failure)> {
    let mut has_contact = resolution.contact.is_some();
    for (index, planned) in actions.iter().enumerate() {
        has_contact |= creates_contact(&planned.action);
        let missing = |what: &str| {
            let message = format!("there is no {what} in HubSpot to change");
            Some((index, Failure::permanent("crm_record_missing", message).on(DEPENDENCY)))
        };
        if !has_contact {
            return missing("contact of the lead");
        }
        let id = planned.external_id(lead);
        let is_created = || actions[..index].iter().any(|earlier| earlier.external_id(lead) == id);
        let is_update = !is_person(planned.action.object()) && planned.action.mode() == Mode::Update;
        if is_update && !resolution.others.contains_key(id) && !is_created() {
            return missing(if planned.action.object() == Object::Task { "task" } else { "deal" });
        }
    }
    None
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

/// The result of a batch of one row.
fn single_row(results: Result<Rows, Refusal>) -> Result<Written, Refusal> {
    results?.pop().unwrap_or_else(|| Err(errors::unanswered_row()))
}

/// Whether a failure ends the plan: one that is not permanent would affect the following calls too.
fn ends_plan(written: Result<&Written, &Refusal>) -> bool {
    written.is_err_and(|refused| refused.failure.class() != FailureClass::Permanent)
}
