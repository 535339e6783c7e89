//! Execution of a plan: merges the writes to each record, sends all records in one call, and derives one
//! outcome per action.

use http_client::{Method, StatusCode};
use lead::{Failure, LeadId};
use serde_json::{Map, Value, json};

use super::api::{Call, Response};
use super::describe::text_of;
use super::errors::{Meaning, Refusal, refusal};
use super::state::{LeadState, State, multiple_matches};
use super::{DEPENDENCY, Salesforce};
use crate::{Effect, FieldChange, LeftOut, Mode, Object, PlannedAction, RecordWrite};

/// Immediate retries of a locked record.
const LOCK_RETRIES: u32 = 3;
/// How often a record is sent again without the refused fields. Salesforce often names one field at a time.
const LEAVE_OUT_ROUNDS: u32 = 5;

/// The results of the actions in order, up to and including the first action that cannot be executed.
pub(super) type Outcomes = Vec<Result<Effect, Refusal>>;

/// All writes of a plan to one record.
struct Group {
    object: Object,
    object_name: String,
    external_id_field: String,
    external_id: String,
    /// The Salesforce id, if the record exists.
    record_id: Option<String>,
    /// Whether the record may be created.
    creates: bool,
    /// The writes in the order of their actions. The last value of a field wins.
    writes: Vec<RecordWrite>,
    /// The result of sending the record; none before.
    result: Option<Result<Effect, Refusal>>,
}

/// The writes of a plan, grouped by record.
struct GroupedWrites {
    groups: Vec<Group>,
    /// For each action the indices of its groups, the group of its own record first.
    by_action: Vec<Vec<usize>>,
    /// Why the next action and all later ones are not executed.
    stopped: Option<Refusal>,
}

impl Salesforce {
    /// Writes the fields of the actions that the state does not have yet, with retries for locks and refused
    /// fields.
    pub(super) async fn write(&self, lead: &LeadId, actions: &[PlannedAction], state: &State) -> Outcomes {
        let mut writes = self.group_writes(lead, actions, state);
        let (mut locks, mut reductions) = (0, 0);
        loop {
            self.send(&mut writes.groups, state).await;
            let is_reduced = reductions < LEAVE_OUT_ROUNDS && writes.leave_out();
            let is_locked = writes.groups.iter().any(|group| group.meaning() == Some(Meaning::Lock));
            let is_locked = is_locked && locks < LOCK_RETRIES;
            if !is_reduced && !is_locked {
                return writes.outcomes(actions);
            }
            reductions += u32::from(is_reduced);
            if is_locked {
                locks += 1;
                tokio::time::sleep(self.lock_wait(lead, locks)).await;
            }
            // Records that refer to a retried record are sent again with it.
            for group in &mut writes.groups {
                let meaning = group.meaning();
                if meaning == Some(Meaning::NotSent) || is_locked && meaning == Some(Meaning::Lock) {
                    group.result = None;
                }
            }
        }
    }

    fn group_writes(&self, lead: &LeadId, actions: &[PlannedAction], state: &State) -> GroupedWrites {
        let mut grouped = GroupedWrites { groups: Vec::new(), by_action: Vec::new(), stopped: None };
        for planned in actions {
            let mut indices = Vec::new();
            for write in state.writes(self, lead, planned) {
                indices.push(grouped.add(write, planned.action.mode()));
            }
            let needs_lead = matches!(planned.action.object(), Object::Task | Object::Activity);
            let has_lead = state.lead.who_id().is_some()
                || grouped.groups.iter().any(|group| group.object == Object::Lead && group.creates);
            let is_missing = |index: &usize| {
                let group: &Group = &grouped.groups[*index];
                group.record_id.is_none() && !group.creates
            };
            if indices.iter().any(is_missing) || needs_lead && !has_lead {
                let object = if needs_lead { "lead" } else { planned.action.object().as_str() };
                let message = format!("there is no {object} to change");
                grouped.groups.truncate(grouped.by_action.iter().flatten().max().map_or(0, |last| last + 1));
                grouped.stopped =
                    Some(Failure::permanent("crm_record_missing", message).on(DEPENDENCY).into());
                break;
            }
            grouped.by_action.push(indices);
        }
        grouped
    }

    /// Sends every group that has no result yet.
    async fn send(&self, groups: &mut [Group], state: &State) {
        let mut who_id = state.lead.who_id().map(str::to_owned);
        let mut pending: Vec<usize> = Vec::new();
        for (index, group) in groups.iter_mut().enumerate() {
            if group.object == Object::Lead
                && let Some(Ok(effect)) = &group.result
            {
                who_id = Some(effect.record_id.clone());
            }
            match &group.record_id {
                // Nothing is left to write.
                Some(id) if group.fields().is_empty() && group.result.is_none() => {
                    group.result = Some(Ok(Effect::new(id.clone(), false)));
                }
                _ if group.result.is_none() => pending.push(index),
                _ => {}
            }
        }
        // A composite call would resolve `@{` in a text as a reference, and has no escape for it. The records
        // are then sent one by one, and so are more records than fit in one composite call: a part in a
        // second call could not refer to the lead.
        let is_plain = |index: &usize| !groups[*index].fields().values().any(contains_reference);
        if pending.len() <= super::api::Api::MAX_PARTS && pending.iter().all(is_plain) {
            let lead = pending.iter().position(|index| groups[*index].object == Object::Lead);
            let call = |index: &usize| {
                let group = &groups[*index];
                let call = self.call_of(group, who_id.as_deref(), state.is_remembered);
                let who = lead.filter(|_| group.refers_to_lead() && who_id.is_none());
                Call { who, ..call }
            };
            match self.shared.write(pending.iter().map(call).collect()).await {
                Ok(responses) => {
                    for (index, response) in pending.into_iter().zip(responses) {
                        groups[index].take(&response);
                    }
                }
                Err(failure) => {
                    for index in pending {
                        groups[index].result = Some(Err(failure.clone().into()));
                    }
                }
            }
        } else {
            for index in pending {
                let group = &mut groups[index];
                if group.refers_to_lead() && who_id.is_none() {
                    let message = "the lead was not written";
                    let failure = Failure::transient("crm_not_sent", message).on(DEPENDENCY);
                    group.result = Some(Err(Refusal { meaning: Meaning::NotSent, ..failure.into() }));
                    continue;
                }
                let call = self.call_of(group, who_id.as_deref(), state.is_remembered);
                match self.api.call(&call).await {
                    Ok(response) => group.take(&response),
                    Err(failure) => group.result = Some(Err(failure.into())),
                }
                if group.object == Object::Lead
                    && let Some(Ok(effect)) = &group.result
                {
                    who_id = Some(effect.record_id.clone());
                }
            }
        }
    }

    /// The call that writes a record. With `inserts` a new record is inserted, which the org refuses if the
    /// record exists; otherwise it is upserted.
    fn call_of(&self, group: &Group, who_id: Option<&str>, inserts: bool) -> Call {
        let mut fields = group.fields();
        if group.refers_to_lead()
            && let Some(who_id) = who_id
        {
            fields.insert("WhoId".to_owned(), json!(who_id));
        }
        let (object, field, id) = (&group.object_name, &group.external_id_field, &group.external_id);
        let (method, path) = match (&group.record_id, group.object) {
            // The contact of a converted lead does not have the lead's external id.
            (Some(id), Object::Contact) => (Method::PATCH, self.path_by_id(object, id, "")),
            (None, _) if inserts && group.creates => {
                fields.insert(field.clone(), json!(id));
                (Method::POST, self.path_by_id(object, "", ""))
            }
            _ => {
                let update_only = if group.creates { "" } else { "?updateOnly=true" };
                let path = self.path_by_id(object, &format!("{field}/{id}"), "");
                (Method::PATCH, format!("{path}{update_only}"))
            }
        };
        Call::save(method, path, self.save_headers(), fields)
    }

    /// The headers for saving a record. Each part of a composite call needs them, as parts do not inherit
    /// headers.
    pub(super) fn save_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Sforce-Auto-Assign", self.settings.auto_assign.header().to_owned()),
            ("Sforce-Duplicate-Rule-Header", format!("allowSave={}", self.settings.allow_duplicates)),
        ]
    }

    /// The wait before a retry of a locked record. It doubles with each retry and varies with the lead, so
    /// that leads that conflicted do not conflict again.
    fn lock_wait(&self, lead: &LeadId, retry: u32) -> std::time::Duration {
        let spread = lead.as_str().bytes().map(u32::from).sum::<u32>() % 100;
        self.settings.lock_backoff * 2_u32.pow(retry - 1) * (100 + spread) / 100
    }
}

impl GroupedWrites {
    /// Adds a write to the group of its record. Returns the index of the group.
    fn add(&mut self, write: RecordWrite, mode: Mode) -> usize {
        let creates = mode != Mode::Update;
        let is_same = |group: &Group| group.object == write.object && group.external_id == write.external_id;
        if let Some(index) = self.groups.iter().position(is_same) {
            let group = &mut self.groups[index];
            group.creates |= creates;
            group.writes.push(write);
            return index;
        }
        self.groups.push(Group {
            object: write.object,
            object_name: write.object_name.clone(),
            external_id_field: write.external_id_field.clone(),
            external_id: write.external_id.clone(),
            record_id: write.record_id.clone(),
            creates,
            writes: vec![write],
            result: None,
        });
        self.groups.len() - 1
    }

    /// Removes refused fields from the records that were refused because of them. Returns whether it removed
    /// any.
    fn leave_out(&mut self) -> bool {
        let mut reduced = false;
        for group in &mut self.groups {
            reduced |= group.leave_out();
        }
        reduced
    }

    fn outcomes(self, actions: &[PlannedAction]) -> Outcomes {
        // A record that was not sent takes over the failure of the record that it refers to.
        let cause = self.groups.iter().find_map(|group| match &group.result {
            Some(Err(refusal)) if refusal.meaning != Meaning::NotSent => Some(refusal.clone()),
            _ => None,
        });
        let result_of = |index: &usize| match &self.groups[*index].result {
            Some(Err(refusal)) if refusal.meaning == Meaning::NotSent => {
                Err(cause.clone().unwrap_or_else(|| refusal.clone()))
            }
            Some(result) => result.clone(),
            None => Err(Failure::transient("crm_not_sent", "the record was not sent").on(DEPENDENCY).into()),
        };
        let mut outcomes: Outcomes = Vec::with_capacity(actions.len());
        for (planned, indices) in actions.iter().zip(&self.by_action) {
            let mut own = Ok(Effect::new("", false));
            for result in indices.iter().rev().map(result_of) {
                own = match (own, result) {
                    (Ok(_), result) | (result @ Err(_), Ok(_)) => result,
                    (_, Err(refusal)) => Err(refusal),
                };
            }
            let writes = indices.iter().flat_map(|index| &self.groups[*index].writes);
            let left_out = writes.filter(|write| write.position == planned.position);
            outcomes.push(own.map(|effect| {
                let created = effect.created && planned.action.mode() != Mode::Update;
                Effect { created, ..effect }.without(left_out.flat_map(RecordWrite::omissions))
            }));
        }
        outcomes.extend(self.stopped.map(Err));
        outcomes
    }
}

impl Group {
    /// The fields to send, by their Salesforce names.
    fn fields(&self) -> Map<String, Value> {
        self.writes.iter().flat_map(RecordWrite::fields).collect()
    }

    /// Removes the fields that the record was refused for and clears its result, so that it is sent again.
    /// Returns whether there were any.
    fn leave_out(&mut self) -> bool {
        let Some(Err(refusal)) =
            self.result.as_ref().filter(|_| self.meaning().is_some_and(Meaning::leaves_out))
        else {
            return false;
        };
        let writes = &mut self.writes;
        let mut leave_out = |refused: &dyn Fn(&FieldChange) -> Option<LeftOut>| {
            let mut reduced = false;
            for write in &mut *writes {
                reduced |= write.leave_out(refused);
            }
            reduced
        };
        let reduced = leave_out(&|change| refusal.leaves_out(change))
            || leave_out(&|change| refusal.leaves_out_partner(change));
        if reduced {
            self.result = None;
        }
        reduced
    }

    fn meaning(&self) -> Option<Meaning> {
        self.result.as_ref()?.as_ref().err().map(|refusal| refusal.meaning)
    }

    /// Whether it is a new record that must refer to the lead.
    fn refers_to_lead(&self) -> bool {
        self.record_id.is_none() && matches!(self.object, Object::Task | Object::Activity)
    }

    fn take(&mut self, response: &Response) {
        self.result = Some(self.read(response));
    }

    /// The result of a response: 201 for a created record; 200, or 204 in older API versions, for an updated
    /// one.
    fn read(&self, response: &Response) -> Result<Effect, Refusal> {
        match response.status {
            StatusCode::MULTIPLE_CHOICES => Err(multiple_matches().into()),
            StatusCode::NOT_FOUND => {
                let message = format!("there is no {} to change", self.object.as_str());
                let missing: Refusal =
                    Failure::permanent("crm_record_missing", message).on(DEPENDENCY).into();
                // The record existed when the state was read.
                Err(Refusal { meaning: Meaning::Stale, ..missing })
            }
            status if status.is_success() => {
                let created = status == StatusCode::CREATED;
                let record_id =
                    text_of(&response.body, "id").or_else(|| self.record_id.clone()).ok_or_else(|| {
                        let message = "Salesforce's response has no record id";
                        Refusal::from(Failure::transient("crm_incomplete_answer", message).on(DEPENDENCY))
                    })?;
                Ok(Effect::new(record_id, created))
            }
            status => Err(refusal(status, &response.body)),
        }
    }
}

/// Whether a composite call would resolve a text in the value as a reference to another part.
pub(super) fn contains_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("@{"),
        Value::Array(members) => members.iter().any(contains_reference),
        Value::Object(members) => members.values().any(contains_reference),
        _ => false,
    }
}

/// The effect of a conversion: the lead's record, or the contact if it is converted. None if the lead is
/// absent.
pub(super) fn lead_effect(state: &State) -> Option<Effect> {
    let (LeadState::Open(record) | LeadState::Converted(record)) = &state.lead else { return None };
    Some(Effect::new(record.record_id.clone(), false))
}
