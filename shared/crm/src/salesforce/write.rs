//! Sending a plan: the writes to one record merged, all records in one call, and an answer for each action.

use lead::{Failure, LeadId};
use outbound::StatusCode;
use serde_json::{Map, Value, json};

use super::api::{Answer, Call};
use super::describe::text_of;
use super::errors::{Meaning, Refusal, refusal};
use super::state::{LeadState, State, several_matches};
use super::{DEPENDENCY, Salesforce};
use crate::{Effect, FieldChange, LeftOut, Mode, Object, PlannedAction, RecordWrite};

/// How often a locked record is tried again at once.
const LOCK_RETRIES: u32 = 3;
/// How often a record is sent again without the fields that were refused. Salesforce often names one at a time.
const LEAVE_OUT_ROUNDS: u32 = 5;

/// What becomes of each action, from the first on.
pub(super) type Outcomes = Vec<Result<Effect, Refusal>>;

/// Everything that a plan writes to one record.
struct Group {
    object: Object,
    object_name: String,
    external_id_field: String,
    external_id: String,
    /// Where the record exists.
    record_id: Option<String>,
    /// Whether the record may be created.
    creates: bool,
    /// What the actions write to it, in their order; of two values for one field the later counts.
    writes: Vec<RecordWrite>,
    /// None until it was sent.
    result: Option<Result<Effect, Refusal>>,
}

/// The records of each action, by their place among the groups, its own record first.
struct Sorted {
    groups: Vec<Group>,
    by_action: Vec<Vec<usize>>,
    /// Why the actions after these were left out.
    stopped: Option<Refusal>,
}

impl Salesforce {
    /// Writes what is still to be written of the actions.
    pub(super) async fn write(&self, lead: &LeadId, actions: &[PlannedAction], state: &State) -> Outcomes {
        let mut sorted = self.sort(lead, actions, state);
        let (mut locks, mut reductions) = (0, 0);
        loop {
            self.send(&mut sorted.groups, state).await;
            let is_reduced = reductions < LEAVE_OUT_ROUNDS && sorted.leave_out();
            let is_locked = sorted.groups.iter().any(|group| group.meaning() == Some(Meaning::Lock));
            let is_locked = is_locked && locks < LOCK_RETRIES;
            if !is_reduced && !is_locked {
                return sorted.outcomes(actions);
            }
            reductions += u32::from(is_reduced);
            if is_locked {
                locks += 1;
                tokio::time::sleep(self.lock_wait(lead, locks)).await;
            }
            // What waited for the record is sent again with it.
            for group in &mut sorted.groups {
                let meaning = group.meaning();
                if meaning == Some(Meaning::NotSent) || is_locked && meaning == Some(Meaning::Lock) {
                    group.result = None;
                }
            }
        }
    }

    fn sort(&self, lead: &LeadId, actions: &[PlannedAction], state: &State) -> Sorted {
        let mut sorted = Sorted { groups: Vec::new(), by_action: Vec::new(), stopped: None };
        for planned in actions {
            let mut places = Vec::new();
            for write in state.writes(self, lead, planned) {
                places.push(sorted.add(write, planned.action.mode()));
            }
            let needs_lead = matches!(planned.action.object(), Object::Task | Object::Activity);
            let has_lead = state.lead.who().is_some()
                || sorted.groups.iter().any(|group| group.object == Object::Lead && group.creates);
            let is_missing = |place: &usize| {
                let group: &Group = &sorted.groups[*place];
                group.record_id.is_none() && !group.creates
            };
            if places.iter().any(is_missing) || needs_lead && !has_lead {
                let what = if needs_lead { "lead" } else { planned.action.object().as_str() };
                let message = format!("there is no {what} to change");
                sorted.groups.truncate(sorted.by_action.iter().flatten().max().map_or(0, |last| last + 1));
                sorted.stopped =
                    Some(Failure::permanent("crm_record_missing", message).on(DEPENDENCY).into());
                break;
            }
            sorted.by_action.push(places);
        }
        sorted
    }

    /// Sends every group that has no result yet.
    async fn send(&self, groups: &mut [Group], state: &State) {
        let mut who = state.lead.who().map(str::to_owned);
        let mut open: Vec<usize> = Vec::new();
        for (place, group) in groups.iter_mut().enumerate() {
            if group.object == Object::Lead
                && let Some(Ok(effect)) = &group.result
            {
                who = Some(effect.record_id.clone());
            }
            match &group.record_id {
                // Nothing is left to write.
                Some(id) if group.fields().is_empty() && group.result.is_none() => {
                    group.result = Some(Ok(Effect::new(id.clone(), false)));
                }
                _ if group.result.is_none() => open.push(place),
                _ => {}
            }
        }
        // `@{` in a text would be taken for a reference, and there is no way to escape it: such records go by themselves.
        // So does what does not fit in one call, where it could not refer to the lead.
        let is_plain = |place: &usize| !groups[*place].fields().values().any(holds_reference);
        if open.len() > 1 && open.len() <= super::api::Api::MAX_PARTS && open.iter().all(is_plain) {
            let lead = open.iter().position(|place| groups[*place].object == Object::Lead);
            let who = who.or_else(|| lead.map(|lead| format!("@{{r{lead}.id}}")));
            let calls: Vec<_> =
                open.iter().map(|place| self.call_of(&groups[*place], who.as_deref())).collect();
            match self.api.composite(&calls).await {
                Ok(answers) => {
                    for (place, answer) in open.into_iter().zip(answers) {
                        groups[place].take(&answer);
                    }
                }
                Err(failure) => {
                    for place in open {
                        groups[place].result = Some(Err(failure.clone().into()));
                    }
                }
            }
        } else {
            for place in open {
                let group = &mut groups[place];
                if group.is_about_a_lead() && who.is_none() {
                    let message = "the lead was not written";
                    let failure = Failure::transient("crm_not_sent", message).on(DEPENDENCY);
                    group.result = Some(Err(Refusal { meaning: Meaning::NotSent, ..failure.into() }));
                    continue;
                }
                match self.api.call(&self.call_of(group, who.as_deref())).await {
                    Ok(answer) => group.take(&answer),
                    Err(failure) => group.result = Some(Err(failure.into())),
                }
                if group.object == Object::Lead
                    && let Some(Ok(effect)) = &group.result
                {
                    who = Some(effect.record_id.clone());
                }
            }
        }
    }

    fn call_of(&self, group: &Group, who: Option<&str>) -> Call {
        let mut fields = group.fields();
        if group.is_about_a_lead()
            && let Some(who) = who
        {
            fields.insert("WhoId".to_owned(), json!(who));
        }
        let path = if let (Some(id), Object::Contact) = (&group.record_id, group.object) {
            // The contact of a converted lead has no external id of ours.
            self.path_by_id(&group.object_name, id, "")
        } else {
            let update_only = if group.creates { "" } else { "?updateOnly=true" };
            let (object, field, id) = (&group.object_name, &group.external_id_field, &group.external_id);
            format!("{}{update_only}", self.path_by_id(object, &format!("{field}/{id}"), ""))
        };
        Call::save(path, self.save_headers(), fields)
    }

    /// Every record is saved with these; a composite call does not hand them on to its parts.
    pub(super) fn save_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Sforce-Auto-Assign", self.settings.auto_assign.header().to_owned()),
            ("Sforce-Duplicate-Rule-Header", format!("allowSave={}", self.settings.allow_duplicates)),
        ]
    }

    /// Twice as long each time, and not the same for every lead: those who met should not meet again.
    fn lock_wait(&self, lead: &LeadId, retry: u32) -> std::time::Duration {
        let spread = lead.as_str().bytes().map(u32::from).sum::<u32>() % 100;
        self.settings.lock_backoff * 2_u32.pow(retry - 1) * (100 + spread) / 100
    }
}

impl Sorted {
    /// Merges a write with what is written to the same record already. Gives its place.
    fn add(&mut self, write: RecordWrite, mode: Mode) -> usize {
        let creates = mode != Mode::Update;
        let is_same = |group: &Group| group.object == write.object && group.external_id == write.external_id;
        if let Some(place) = self.groups.iter().position(is_same) {
            let group = &mut self.groups[place];
            group.creates |= creates;
            group.writes.push(write);
            return place;
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

    /// Takes the fields that were refused out of the records that were refused for them; whether that is so of any.
    fn leave_out(&mut self) -> bool {
        let mut reduced = false;
        for group in &mut self.groups {
            reduced |= group.leave_out();
        }
        reduced
    }

    fn outcomes(self, actions: &[PlannedAction]) -> Outcomes {
        // What could not be sent failed for the reason that the record it refers to did.
        let cause = self.groups.iter().find_map(|group| match &group.result {
            Some(Err(refusal)) if refusal.meaning != Meaning::NotSent => Some(refusal.clone()),
            _ => None,
        });
        let result_of = |place: &usize| match &self.groups[*place].result {
            Some(Err(refusal)) if refusal.meaning == Meaning::NotSent => {
                Err(cause.clone().unwrap_or_else(|| refusal.clone()))
            }
            Some(result) => result.clone(),
            None => Err(Failure::transient("crm_not_sent", "the record was not sent").on(DEPENDENCY).into()),
        };
        let mut outcomes: Outcomes = Vec::with_capacity(actions.len());
        for (planned, places) in actions.iter().zip(&self.by_action) {
            let mut own = Ok(Effect::new("", false));
            for result in places.iter().rev().map(result_of) {
                own = match (own, result) {
                    (Ok(_), result) | (result @ Err(_), Ok(_)) => result,
                    (_, Err(refusal)) => Err(refusal),
                };
            }
            let writes = places.iter().flat_map(|place| &self.groups[*place].writes);
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
    /// The fields to send, by Salesforce's names.
    fn fields(&self) -> Map<String, Value> {
        self.writes.iter().flat_map(RecordWrite::fields).collect()
    }

    /// Takes the fields out that the record was refused for, so that it is sent again; false where there are none.
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

    /// Whether a new record has to say which lead it is about.
    fn is_about_a_lead(&self) -> bool {
        self.record_id.is_none() && matches!(self.object, Object::Task | Object::Activity)
    }

    fn take(&mut self, answer: &Answer) {
        self.result = Some(self.read(answer));
    }

    /// 201 for a new record; 200, or 204 in older versions, for a changed one.
    fn read(&self, answer: &Answer) -> Result<Effect, Refusal> {
        match answer.status {
            StatusCode::MULTIPLE_CHOICES => Err(several_matches().into()),
            StatusCode::NOT_FOUND => {
                let message = format!("there is no {} to change", self.object.as_str());
                let missing: Refusal =
                    Failure::permanent("crm_record_missing", message).on(DEPENDENCY).into();
                // It was there when we looked.
                Err(Refusal { meaning: Meaning::Again, ..missing })
            }
            status if status.is_success() => {
                let created = status == StatusCode::CREATED;
                let record_id =
                    text_of(&answer.body, "id").or_else(|| self.record_id.clone()).ok_or_else(|| {
                        let message = "Salesforce did not say which record it wrote";
                        Refusal::from(Failure::transient("crm_incomplete_answer", message).on(DEPENDENCY))
                    })?;
                Ok(Effect::new(record_id, created))
            }
            status => Err(refusal(status, &answer.body)),
        }
    }
}

/// Whether a composite call would take a text for a reference to another part.
pub(super) fn holds_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("@{"),
        Value::Array(members) => members.iter().any(holds_reference),
        Value::Object(members) => members.values().any(holds_reference),
        _ => false,
    }
}

/// The lead's record as an effect, where it stands for an action that writes nothing.
pub(super) fn standing(state: &State) -> Option<Effect> {
    let (LeadState::Open(record) | LeadState::Converted(record)) = &state.lead else { return None };
    Some(Effect::new(record.record_id.clone(), false))
}
