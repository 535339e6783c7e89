//! The state of the org that a plan is resolved against, read in one call.

use std::collections::BTreeMap;

use http_client::StatusCode;
use lead::{Failure, LeadId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::DEPENDENCY;
use super::Salesforce;
use super::api::{Call, Response};
use super::describe::{VisibleSchema, has_field, text_of};
use super::errors::{ADMIN_WAIT, Refusal, refusal};
use crate::{
    Action, FieldChange, LeftOut, Mode, Object, ObjectMapping, ObjectSchema, OwnerStatus, PlannedAction,
    PresentRecord, RecordWrite,
};

/// The field with the user that created a record.
const CREATED_BY: &str = "CreatedById";

/// The records that a plan concerns, the schemas of their objects, and the status of the plan's owners.
pub(super) struct State {
    pub(super) lead: LeadState,
    others: BTreeMap<(Object, String), PresentRecord>,
    schemas: BTreeMap<Object, VisibleSchema>,
    owners: BTreeMap<String, OwnerStatus>,
    /// Whether the records are remembered as absent and were not read for the plan.
    pub(super) is_remembered: bool,
}

/// The record of the lead itself.
pub(super) enum LeadState {
    Absent,
    Open(PresentRecord),
    /// The contact of a converted lead, which is read-only itself.
    Converted(PresentRecord),
}

impl LeadState {
    /// The record that tasks refer to in `WhoId`.
    pub(super) fn who_id(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Open(record) | Self::Converted(record) => Some(&record.record_id),
        }
    }
}

impl State {
    /// The writes of an action, one per target record.
    pub(super) fn writes(
        &self,
        salesforce: &Salesforce,
        lead: &LeadId,
        planned: &PlannedAction,
    ) -> Vec<RecordWrite> {
        let mapping = &salesforce.mapping;
        let mut writes = Vec::new();
        for target in mapping.targets(&planned.action) {
            let id = planned.external_id(lead);
            let (target, present) = match (target, &self.lead) {
                (Object::Lead, LeadState::Absent) => (target, None),
                (Object::Lead, LeadState::Open(record)) => (target, Some(record)),
                (Object::Lead, LeadState::Converted(contact)) => (Object::Contact, Some(contact)),
                _ => (target, self.others.get(&(target, id.to_owned()))),
            };
            let schema = self.schemas.get(&target).and_then(Option::as_deref);
            if let Some(mut write) = RecordWrite::resolve(mapping, schema, planned, target, id, present) {
                // If this omits all fields, the record stays unchanged.
                write.leave_out(|change| self.refuses_owner(change));
                writes.push(write);
            }
        }
        writes
    }

    /// Every field that the actions touch, with its current value.
    pub(super) fn changes(
        &self,
        salesforce: &Salesforce,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Vec<FieldChange> {
        let writes = actions.iter().flat_map(|planned| self.writes(salesforce, lead, planned));
        writes.flat_map(|write| write.changes).collect()
    }

    /// Why an owner cannot own the record, if the org says so.
    fn refuses_owner(&self, change: &FieldChange) -> Option<LeftOut> {
        let owner = change.new.as_ref().and_then(Value::as_str).filter(|_| change.is_owner())?;
        self.owners.get(owner)?.refuses(change.object)
    }
}

impl Salesforce {
    /// The state of a lead: remembered as absent, if its facts were read a moment ago and it was never
    /// written, or read.
    pub(super) async fn state_of(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<State, Refusal> {
        let is_new = self.memory.is_absent(lead) && is_about_new_records(actions);
        self.state(lead, actions, is_new).await
    }

    /// Reads the records that the actions concern, usually in one call. A converted lead takes a call for its
    /// contact.
    pub(super) async fn read_state(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Result<State, Refusal> {
        self.memory.forget(lead);
        self.state(lead, actions, false).await
    }

    async fn state(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        is_remembered: bool,
    ) -> Result<State, Refusal> {
        let mut wanted = vec![(Object::Lead, lead.as_str().to_owned())];
        for planned in actions {
            for target in self.mapping.targets(&planned.action) {
                let key = (target, planned.external_id(lead).to_owned());
                if !wanted.contains(&key) {
                    wanted.push(key);
                }
            }
        }
        let owners = actions.iter().filter_map(|planned| planned.action.owner()).map(str::to_owned);
        let mut state = State {
            lead: LeadState::Absent,
            others: BTreeMap::new(),
            schemas: BTreeMap::new(),
            owners: self.owners.get(&self.api, owners.collect()).await,
            is_remembered,
        };
        let mut calls = Vec::with_capacity(wanted.len());
        for (object, id) in &wanted {
            let mapping = self.mapped(*object)?;
            let schema = self.usable_schema(mapping).await?;
            calls.push(Call::get(self.record_path(mapping, id, &readable_fields(mapping, &schema))));
            state.schemas.insert(*object, Some(schema));
        }
        if is_remembered {
            return Ok(state);
        }
        for ((object, id), response) in wanted.into_iter().zip(self.shared.read(calls).await?) {
            let Some(record) = existing_record(response)? else { continue };
            if object == Object::Lead {
                state.lead = self.lead_state(&record, &mut state.schemas).await?;
            } else {
                state.others.insert((object, id), present_record(&record));
            }
        }
        Ok(state)
    }

    /// Replaces the lead's record in the state by the survivor of a merge.
    pub(super) async fn replace_lead(&self, state: &mut State, record_id: &str) -> Result<(), Refusal> {
        let mapping = self.mapped(Object::Lead)?;
        let schema = self.usable_schema(mapping).await?;
        let path = self.path_by_id(mapping.object(), record_id, &readable_fields(mapping, &schema));
        if let Some(record) = existing_record(self.shared.get(path).await?)? {
            state.lead = self.lead_state(&record, &mut state.schemas).await?;
        }
        Ok(())
    }

    async fn lead_state(
        &self,
        lead: &Value,
        schemas: &mut BTreeMap<Object, VisibleSchema>,
    ) -> Result<LeadState, Refusal> {
        if lead["IsConverted"] != true {
            let user = self.api.user().await?;
            let adopted = user.is_some_and(|user| is_created_by_other(lead, &user));
            return Ok(LeadState::Open(PresentRecord { adopted, ..present_record(lead) }));
        }
        let not_visible = || {
            let message = "the lead was converted and its contact is not visible";
            Refusal::from(Failure::permanent("crm_converted_lead", message).on(DEPENDENCY))
        };
        let contact = text_of(lead, "ConvertedContactId").ok_or_else(not_visible)?;
        let mapping = self.mapped(Object::Contact).map_err(|_| not_visible())?;
        let schema = self.schemas.get(&self.api, mapping.object()).await?.ok_or_else(not_visible)?;
        let read = async |id: &str| {
            let path = self.path_by_id(mapping.object(), id, &readable_fields(mapping, &schema));
            existing_record(self.shared.get(path).await?)
        };
        let record = if let Some(record) = read(&contact).await? {
            record
        } else {
            // The contact was merged or deleted.
            let survivor = self.survivor(mapping.object(), mapping.external_id(), &contact).await?;
            read(&survivor.record_id).await?.ok_or_else(not_visible)?
        };
        schemas.insert(Object::Contact, Some(schema));
        // Users convert leads and maintain the resulting contacts.
        Ok(LeadState::Converted(PresentRecord { adopted: true, ..present_record(&record) }))
    }

    /// The schema of an object. Fails with a deferral if the object cannot be written: all leads wait for an
    /// administrator.
    async fn usable_schema(&self, mapping: &ObjectMapping) -> Result<std::sync::Arc<ObjectSchema>, Refusal> {
        let schema = self.schemas.get(&self.api, mapping.object()).await?;
        let problem =
            ObjectSchema::problems(mapping, schema.as_deref()).into_iter().find(|problem| problem.blocks);
        match (schema, problem) {
            (Some(schema), None) => Ok(schema),
            (_, problem) => {
                // The next attempt must see a change by the administrator.
                self.schemas.invalidate();
                let message = problem
                    .map_or_else(|| "the org has no such object".to_owned(), |problem| problem.message);
                tracing::error!(dependency = %DEPENDENCY, code = "crm_schema_unsuitable", "{message}");
                Err(Failure::deferral(DEPENDENCY, "crm_schema_unsuitable", message, Some(ADMIN_WAIT)).into())
            }
        }
    }

    pub(super) fn mapped(&self, object: Object) -> Result<&ObjectMapping, Refusal> {
        self.mapping.object(object).ok_or_else(|| {
            let message = format!("the mapping has no table [{}]", object.as_str());
            Failure::permanent("crm_not_mapped", message).on(DEPENDENCY).into()
        })
    }

    /// The path of a record by its external id.
    pub(super) fn record_path(&self, mapping: &ObjectMapping, id: &str, fields: &str) -> String {
        let (object, key) = (mapping.object(), mapping.external_id());
        self.path_by_id(object, &format!("{key}/{}", utf8_percent_encode(id, NON_ALPHANUMERIC)), fields)
    }

    /// The path of a record by its Salesforce id. `fields` limits the fields that are read, unless it is
    /// empty.
    pub(super) fn path_by_id(&self, object: &str, id: &str, fields: &str) -> String {
        let query = if fields.is_empty() { String::new() } else { format!("?fields={fields}") };
        format!("{}/sobjects/{object}/{id}{query}", self.api.base)
    }

    /// Whether an action is a conversion and the lead is converted.
    pub(super) fn is_converted_by(state: &State, action: &Action) -> bool {
        matches!(action, Action::ConvertLead(_)) && matches!(state.lead, LeadState::Converted(_))
    }
}

/// Whether actions can be the first of a lead: they create its record, and change no record that exists.
fn is_about_new_records(actions: &[PlannedAction]) -> bool {
    let creates_lead = |planned: &PlannedAction| {
        planned.action.object() == Object::Lead && planned.action.mode() != Mode::Update
    };
    let changes_other = |planned: &PlannedAction| {
        planned.action.object() != Object::Lead && planned.action.mode() == Mode::Update
    };
    actions.iter().any(creates_lead) && !actions.iter().any(changes_other)
}

/// Whether another user created a record, so that users maintain it. Ids have 15 or 18 characters.
fn is_created_by_other(record: &Value, user: &str) -> bool {
    let short = |id: &str| id.chars().take(15).collect::<String>();
    record.get(CREATED_BY).is_some_and(|creator| creator.as_str().map(short) != Some(short(user)))
}

/// The visible fields to read, separated by commas: mapped fields, the creator, and the conversion of a lead.
pub(super) fn readable_fields(mapping: &ObjectMapping, schema: &ObjectSchema) -> String {
    let mut fields = vec!["Id"];
    let own = ["IsConverted", "ConvertedContactId", CREATED_BY].into_iter();
    let mapped = mapping.fields().map(|field| schema.written_as(field));
    for field in mapped.chain(own).filter(|field| has_field(schema, field)) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields.join(",")
}

/// The record in a response; none for status 404. Several matching records are an error for an administrator.
pub(super) fn existing_record(response: Response) -> Result<Option<Value>, Refusal> {
    match response.status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::MULTIPLE_CHOICES => Err(multiple_matches().into()),
        status if status.is_success() => Ok(Some(response.body)),
        status => Err(refusal(status, &response.body)),
    }
}

pub(super) fn multiple_matches() -> Failure {
    let message = "several records have the lead's external id: the field must be unique";
    Failure::permanent("crm_multiple_matches", message).on(DEPENDENCY)
}

pub(super) fn present_record(record: &Value) -> PresentRecord {
    let fields: Map<String, Value> = record.as_object().cloned().unwrap_or_default();
    PresentRecord { record_id: text_of(record, "Id").unwrap_or_default(), fields, adopted: false }
}
