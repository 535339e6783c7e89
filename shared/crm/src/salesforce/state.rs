//! What is in the org before a plan: read in one call, since all that is decided is decided against it.

use std::collections::BTreeMap;

use lead::{Failure, LeadId};
use outbound::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::DEPENDENCY;
use super::Salesforce;
use super::api::{Answer, Call};
use super::describe::{Known, shows, text_of};
use super::errors::{ADMIN_WAIT, Refusal, refusal};
use crate::{
    Action, FieldChange, LeftOut, Object, ObjectMapping, ObjectSchema, OwnerStanding, PlannedAction,
    PresentRecord, RecordWrite,
};

/// The user who created a record.
const CREATED_BY: &str = "CreatedById";

/// The records that a plan is about, and the schemas of their objects.
pub(super) struct State {
    pub(super) lead: LeadState,
    others: BTreeMap<(Object, String), PresentRecord>,
    schemas: BTreeMap<Object, Known>,
    owners: BTreeMap<String, OwnerStanding>,
}

/// The lead's own record.
pub(super) enum LeadState {
    Absent,
    Open(PresentRecord),
    /// It is read-only, and its contact stands for it.
    Converted(PresentRecord),
}

impl LeadState {
    /// Whom tasks are about.
    pub(super) fn who(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Open(record) | Self::Converted(record) => Some(&record.record_id),
        }
    }
}

impl State {
    /// What an action writes, to each of its records.
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
                // Where all of it is left out, the record stays as it is.
                write.leave_out(|change| self.refuses_owner(change));
                writes.push(write);
            }
        }
        writes
    }

    /// Every field that the actions touch, with the value that is there.
    pub(super) fn changes(
        &self,
        salesforce: &Salesforce,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Vec<FieldChange> {
        let writes = actions.iter().flat_map(|planned| self.writes(salesforce, lead, planned));
        writes.flat_map(|write| write.changes).collect()
    }

    /// Why an owner cannot own the record, as far as the org says.
    fn refuses_owner(&self, change: &FieldChange) -> Option<LeftOut> {
        let owner = change.new.as_ref().and_then(Value::as_str).filter(|_| change.is_owner())?;
        self.owners.get(owner)?.refuses(change.object)
    }
}

impl Salesforce {
    /// Reads what the actions are about. Two calls where the lead was converted, one otherwise.
    pub(super) async fn read_state(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
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
        };
        let mut calls = Vec::with_capacity(wanted.len());
        for (object, id) in &wanted {
            let mapping = self.mapped(*object)?;
            let schema = self.usable_schema(mapping).await?;
            calls.push(Call::get(self.record_path(mapping, id, &readable(mapping, &schema))));
            state.schemas.insert(*object, Some(schema));
        }
        for ((object, id), answer) in wanted.into_iter().zip(self.api.composite(&calls).await?) {
            let Some(record) = found(answer)? else { continue };
            if object == Object::Lead {
                state.lead = self.lead_state(&record, &mut state.schemas).await?;
            } else {
                state.others.insert((object, id), present(&record));
            }
        }
        Ok(state)
    }

    /// Puts the record that a merge has left in the place of the lead's own.
    pub(super) async fn stand_in(&self, state: &mut State, record_id: &str) -> Result<(), Refusal> {
        let mapping = self.mapped(Object::Lead)?;
        let schema = self.usable_schema(mapping).await?;
        let path = self.path_by_id(mapping.object(), record_id, &readable(mapping, &schema));
        if let Some(record) = found(self.api.call(&Call::get(path)).await?)? {
            state.lead = self.lead_state(&record, &mut state.schemas).await?;
        }
        Ok(())
    }

    async fn lead_state(
        &self,
        lead: &Value,
        schemas: &mut BTreeMap<Object, Known>,
    ) -> Result<LeadState, Refusal> {
        if lead["IsConverted"] != true {
            let user = self.api.user().await?;
            let adopted = user.is_some_and(|user| is_of_others(lead, &user));
            return Ok(LeadState::Open(PresentRecord { adopted, ..present(lead) }));
        }
        let unknown = || {
            let message = "the lead was converted, and its contact cannot be seen";
            Refusal::from(Failure::permanent("crm_converted_lead", message).on(DEPENDENCY))
        };
        let contact = text_of(lead, "ConvertedContactId").ok_or_else(unknown)?;
        let mapping = self.mapped(Object::Contact).map_err(|_| unknown())?;
        let schema = self.schemas.get(&self.api, mapping.object()).await?.ok_or_else(unknown)?;
        let read = async |id: &str| {
            let path = self.path_by_id(mapping.object(), id, &readable(mapping, &schema));
            found(self.api.call(&Call::get(path)).await?)
        };
        let record = if let Some(record) = read(&contact).await? {
            record
        } else {
            // Merged by people, or deleted.
            let left = self.survivor(mapping.object(), mapping.external_id(), &contact).await?;
            read(&left.record_id).await?.ok_or_else(unknown)?
        };
        schemas.insert(Object::Contact, Some(schema));
        // People have converted the lead, and its contact is theirs.
        Ok(LeadState::Converted(PresentRecord { adopted: true, ..present(&record) }))
    }

    /// The schema of an object that can be written; where it cannot, all leads wait for the administrator.
    async fn usable_schema(&self, mapping: &ObjectMapping) -> Result<std::sync::Arc<ObjectSchema>, Refusal> {
        let schema = self.schemas.get(&self.api, mapping.object()).await?;
        let problem =
            ObjectSchema::problems(mapping, schema.as_deref()).into_iter().find(|problem| problem.blocks);
        match (schema, problem) {
            (Some(schema), None) => Ok(schema),
            (_, problem) => {
                // A field that an administrator adds is to be seen at once.
                self.schemas.forget();
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

    /// Where a record is found by our id.
    pub(super) fn record_path(&self, mapping: &ObjectMapping, id: &str, fields: &str) -> String {
        let (object, key) = (mapping.object(), mapping.external_id());
        self.path_by_id(object, &format!("{key}/{}", utf8_percent_encode(id, NON_ALPHANUMERIC)), fields)
    }

    /// Where a record is found by Salesforce's id.
    pub(super) fn path_by_id(&self, object: &str, id: &str, fields: &str) -> String {
        let query = if fields.is_empty() { String::new() } else { format!("?fields={fields}") };
        format!("{}/sobjects/{object}/{id}{query}", self.api.base)
    }

    /// Whether an action asks to convert the lead, and the lead is converted.
    pub(super) fn is_converted_by(state: &State, action: &Action) -> bool {
        matches!(action, Action::ConvertLead(_)) && matches!(state.lead, LeadState::Converted(_))
    }
}

/// Whether another user created a record, which then got our id: people maintain it. Ids have 15 or 18 characters.
fn is_of_others(record: &Value, user: &str) -> bool {
    let short = |id: &str| id.chars().take(15).collect::<String>();
    record.get(CREATED_BY).is_some_and(|creator| creator.as_str().map(short) != Some(short(user)))
}

/// The mapped fields that we may see, and what tells a converted lead and whose the record is.
pub(super) fn readable(mapping: &ObjectMapping, schema: &ObjectSchema) -> String {
    let mut fields = vec!["Id"];
    let own = ["IsConverted", "ConvertedContactId", CREATED_BY].into_iter();
    let mapped = mapping.fields().map(|field| schema.written_as(field));
    for field in mapped.chain(own).filter(|field| shows(schema, field)) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields.join(",")
}

/// The record of an answer; none where there is none. Several are for a person to put right.
pub(super) fn found(answer: Answer) -> Result<Option<Value>, Refusal> {
    match answer.status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::MULTIPLE_CHOICES => Err(several_matches().into()),
        status if status.is_success() => Ok(Some(answer.body)),
        status => Err(refusal(status, &answer.body)),
    }
}

pub(super) fn several_matches() -> Failure {
    let message = "several records have the lead's external id: the field must be unique";
    Failure::permanent("crm_multiple_matches", message).on(DEPENDENCY)
}

pub(super) fn present(record: &Value) -> PresentRecord {
    let fields: Map<String, Value> = record.as_object().cloned().unwrap_or_default();
    PresentRecord { record_id: text_of(record, "Id").unwrap_or_default(), fields, adopted: false }
}
