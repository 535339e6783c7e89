//! The Salesforce executor, on the REST API. `docs/salesforce.md` describes the setup of an org.

mod api;
mod describe;
mod errors;
mod facts;
mod jwt;
mod memory;
mod merged;
mod owners;
mod session;
mod settings;
mod shared;
mod state;
mod usage;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http_client::{Http, Method};
use lead::{Dependency, Failure, LeadId};
use serde_json::json;

use self::api::{Api, Call};
use self::describe::SchemaCache;
use self::errors::{ADMIN_WAIT, Meaning, Refusal};
use self::facts::Facts;
use self::memory::Memory;
use self::owners::OwnerCache;
use self::session::Sessions;
pub use self::settings::{AutoAssign, SalesforceCredentials, SalesforceSettings};
use self::shared::SharedCalls;
use self::state::{LeadState, State, existing_record, present_record, readable_fields};
use self::usage::Usage;
use self::write::{Outcomes, lead_effect};
use crate::{
    About, Action, Effect, Executor, FieldChange, Followed, Known, Mapping, ObjectSchema, OwnerStatus,
    PlannedAction, PresentRecord, RecordPreview, Restored, SchemaProblem,
};

const DEPENDENCY: Dependency = Dependency::new("crm.salesforce");

/// Executes plans against a Salesforce org.
///
/// A plan takes two calls of the org's daily limit: one reads the records concerned, and one composite call
/// writes them by external id. Records with nothing left to write are not sent. The parts of the composite
/// call are independent (`allOrNone` is false): a refused task does not roll back the lead, and only the
/// task's action fails.
///
/// Leads that wait at the same time share these calls. A new lead, whose facts were read before its
/// judgement, is not read again: its records are inserted, and the org refuses them if they exist.
///
/// A converted lead is read-only in Salesforce. Its contact is written instead, and tasks refer to the
/// contact.
///
/// Refusals that affect every lead (invalid credentials, a used-up limit, missing rights or fields) are
/// deferrals and are logged as errors: leads wait for an administrator instead of being dead-lettered.
pub struct Salesforce {
    settings: SalesforceSettings,
    mapping: Arc<Mapping>,
    api: Arc<Api>,
    shared: SharedCalls,
    facts: Facts,
    schemas: SchemaCache,
    owners: OwnerCache,
    memory: Memory,
}

impl Salesforce {
    /// Creates an executor. Sends no request.
    ///
    /// # Errors
    ///
    /// When the private key cannot be read, or the HTTP client cannot be set up.
    pub fn new(settings: SalesforceSettings, mapping: Arc<Mapping>) -> Result<Self, Failure> {
        let http = Http::new(DEPENDENCY, settings.http)?;
        let sessions = Sessions::new(settings.url.clone(), settings.credentials.clone())?;
        let usage = Usage::new(settings.usage_percent);
        let api = Arc::new(Api::new(http, sessions, usage, &settings.api_version));
        Ok(Self {
            shared: SharedCalls::new(Arc::clone(&api)),
            facts: Facts::new(Arc::clone(&api), settings.account_wait),
            api,
            settings,
            mapping,
            schemas: SchemaCache::default(),
            owners: OwnerCache::default(),
            memory: Memory::default(),
        })
    }

    /// Executes the actions, and retries once from the first action that failed on outdated state.
    async fn run(&self, lead: &LeadId, actions: &[PlannedAction]) -> Outcomes {
        let mut outcomes = match self.prepared_state(lead, actions).await {
            Ok(state) => self.write(lead, actions, &state).await,
            Err(refusal) => vec![Err(refusal)],
        };
        self.memory.forget(lead);
        let is_stale = |outcome: &Result<Effect, Refusal>| {
            matches!(outcome, Err(Refusal { meaning: Meaning::Stale | Meaning::Access, .. }))
        };
        if outcomes.iter().any(is_stale) {
            self.schemas.invalidate();
            let from_first_stale = outcomes.iter().position(is_stale).unwrap_or_default();
            // Outcomes before the first stale one are final. The others are determined again from fresh
            // state, in which completed writes have nothing left to write.
            let done = outcomes[..from_first_stale].to_vec();
            outcomes = done;
            let actions = &actions[from_first_stale..];
            match self.read_state(lead, actions).await {
                Ok(state) => outcomes.extend(self.write(lead, actions, &state).await),
                Err(refusal) => outcomes.push(Err(refusal)),
            }
        }
        outcomes
    }

    /// The state of the preview that was made a moment ago, or the present one.
    async fn prepared_state(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<State, Refusal> {
        match self.memory.take_prepared(lead, actions) {
            Some(state) => Ok(state),
            None => self.state_of(lead, actions).await,
        }
    }

    /// The failure for a refusal. A missing right is a deferral if it affects all leads, and permanent if it
    /// affects only this record.
    async fn failure_of(&self, refusal: Refusal) -> Failure {
        if refusal.meaning != Meaning::Access {
            return refusal.failure;
        }
        match self.schema_problems().await {
            Ok(problems) => match problems.into_iter().find(|problem| problem.blocks) {
                Some(problem) => {
                    Failure::deferral(DEPENDENCY, "crm_schema_unsuitable", problem.message, Some(ADMIN_WAIT))
                }
                None => refusal.failure,
            },
            Err(failure) => failure,
        }
    }

    /// Converts a lead through the customer's Apex class, since the REST API has no resource for it.
    async fn convert(&self, lead: &LeadId, planned: &PlannedAction, status: &str) -> Result<Effect, Refusal> {
        let actions = std::slice::from_ref(planned);
        let state = self.read_state(lead, actions).await?;
        let record = match &state.lead {
            LeadState::Converted(contact) => {
                return Ok(Effect::new(contact.record_id.clone(), false));
            }
            LeadState::Absent => {
                return Err(Failure::permanent("crm_record_missing", "there is no lead to convert")
                    .on(DEPENDENCY)
                    .into());
            }
            LeadState::Open(record) => record,
        };
        let Some(path) = &self.settings.convert_path else {
            let message = "no Apex class that converts leads is configured (SALESFORCE_CONVERT_PATH)";
            return Err(Failure::permanent("crm_conversion_not_configured", message).on(DEPENDENCY).into());
        };
        let body = json!({ "leadId": record.record_id, "convertedStatus": status });
        let path = format!("/services/apexrest/{}", path.trim_start_matches('/'));
        let call = Call { method: Method::POST, body: Some(body), ..Call::get(path) };
        let response = self.api.call(&call).await?.success();
        // The lead's state decides, not the response of the Apex class.
        match self.read_state(lead, actions).await?.lead {
            LeadState::Converted(contact) => Ok(Effect::new(contact.record_id, false)),
            _ => Err(response.err().unwrap_or_else(|| {
                let message = "the Apex class answered, but the lead is not converted";
                Failure::permanent("crm_not_converted", message).on(DEPENDENCY).into()
            })),
        }
    }

    /// Restores the changes of one record in order. Each is decided on the values that the previous ones
    /// restored.
    async fn restore_record(&self, changes: &[&FieldChange]) -> Result<Vec<Restored>, Refusal> {
        let Some((object, id)) =
            changes.iter().find_map(|change| Some((change.object, change.record_id.as_ref()?)))
        else {
            return Ok(changes.iter().map(|change| result_without_record(change)).collect());
        };
        let mapping = self.mapped(object)?;
        let schema = self.schemas.get(&self.api, mapping.object()).await?;
        let fields = schema.as_deref().map(|schema| readable_fields(mapping, schema)).unwrap_or_default();
        let path = self.path_by_id(mapping.object(), id, &fields);
        let mut record: Option<PresentRecord> =
            existing_record(self.api.call(&Call::get(path)).await?)?.as_ref().map(present_record);
        let mut restored_fields = serde_json::Map::new();
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            results.push(match change.restorable(schema.as_deref(), record.as_ref()) {
                Ok(old) => {
                    if let Some(record) = &mut record {
                        record.fields.insert(change.field.clone(), old.clone());
                    }
                    restored_fields.insert(change.field.clone(), old);
                    Restored::PutBack
                }
                Err(restored) => restored,
            });
        }
        if !restored_fields.is_empty() {
            let path = self.path_by_id(mapping.object(), id, "");
            let save = Call::save(Method::PATCH, path, self.save_headers(), restored_fields);
            self.api.call(&save).await?.success()?;
        }
        Ok(results)
    }
}

/// The result of restoring a change without a record id: its write created the record, or omitted the field.
fn result_without_record(change: &FieldChange) -> Restored {
    change.restorable(None, None).err().unwrap_or(Restored::Unchanged)
}

#[async_trait]
impl Executor for Salesforce {
    fn provider(&self) -> &'static str {
        "salesforce"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        if let Err(failure) = self.api.check_usage().await {
            return vec![Err(failure)];
        }
        let mut results = Vec::with_capacity(actions.len());
        // A conversion changes the target record of later actions, so it is executed separately.
        for part in actions.chunk_by(|a, b| !is_conversion(a) && !is_conversion(b)) {
            let outcomes = match &part[0].action {
                Action::ConvertLead(convert) => {
                    vec![self.convert(lead, &part[0], convert.converted_status.expose()).await]
                }
                _ => self.run(lead, part).await,
            };
            let is_incomplete = outcomes.len() < part.len();
            for outcome in outcomes {
                results.push(match outcome {
                    Ok(effect) => Ok(effect),
                    Err(refusal) => Err(self.failure_of(refusal).await),
                });
            }
            if is_incomplete || results.iter().any(Result::is_err) {
                break;
            }
        }
        results
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.api.check_usage().await?;
        let state = match self.read_state(lead, std::slice::from_ref(action)).await {
            Ok(state) => state,
            Err(refusal) => return Err(self.failure_of(refusal).await),
        };
        if let Action::ConvertLead(_) = action.action {
            return Ok(lead_effect(&state).filter(|_| Self::is_converted_by(&state, &action.action)));
        }
        let writes = state.writes(self, lead, action);
        if !writes.iter().all(crate::RecordWrite::is_up_to_date) {
            return Ok(None);
        }
        let left_out: Vec<_> = writes.iter().flat_map(crate::RecordWrite::omissions).collect();
        let own = writes.into_iter().next().and_then(|write| write.record_id);
        Ok(own.map(|record_id| Effect::new(record_id, false).without(left_out)))
    }

    async fn account(&self) -> Result<Option<String>, Failure> {
        let codes = self.schemas.address_codes();
        let codes =
            (!codes.is_empty()).then(|| format!("countries and states written as {}", codes.join(", ")));
        let parts: Vec<_> = [self.api.usage.summary(), codes].into_iter().flatten().collect();
        Ok((!parts.is_empty()).then(|| parts.join(", ")))
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.api.read_limits().await?;
        self.api.usage.check()?;
        // The breaker may be open because of the schema. Without this check the probe would succeed, and the
        // leads would be deferred again.
        self.schemas.invalidate();
        match self.schema_problems().await?.into_iter().find(|problem| problem.blocks) {
            Some(problem) => {
                Err(Failure::deferral(DEPENDENCY, "crm_schema_unsuitable", problem.message, Some(ADMIN_WAIT)))
            }
            None => Ok(()),
        }
    }

    fn record_url(&self, record_id: &str) -> Option<String> {
        self.settings.url.join(record_id).ok().map(String::from)
    }

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStatus> {
        self.owners.get(&self.api, ids.iter().cloned().collect()).await
    }

    async fn follow(&self, lead: &LeadId, record_id: &str) -> Result<Option<Followed>, Failure> {
        self.api.check_usage().await?;
        match self.follow_merge(lead, record_id).await {
            Ok(followed) => Ok(followed),
            Err(refusal) => Err(self.failure_of(refusal).await),
        }
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.api.check_usage().await?;
        let known = self.known(about).await?;
        if known.own.is_none() {
            self.memory.note_absent(&about.lead_id);
        }
        Ok(known)
    }

    async fn facts_of_written(&self, about: &About, _record_id: &str) -> Result<Known, Failure> {
        self.api.check_usage().await?;
        self.known(about).await
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        self.api.check_usage().await?;
        let state: State = match self.state_of(lead, actions).await {
            Ok(state) => state,
            Err(refusal) => return Err(self.failure_of(refusal).await),
        };
        let changes = state.changes(self, lead, actions);
        self.memory.prepare(lead, actions, state);
        Ok(changes)
    }

    async fn preview_written(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<RecordPreview, Failure> {
        self.api.check_usage().await?;
        match self.preview_after_merge(lead, record_id, actions).await {
            Ok(preview) => Ok(preview),
            Err(refusal) => Err(self.failure_of(refusal).await),
        }
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        let mut problems = Vec::new();
        for (_, mapping) in self.mapping.objects() {
            let schema =
                self.schemas.get(&self.api, mapping.object()).await.map_err(|refusal| refusal.failure)?;
            problems.extend(ObjectSchema::problems(mapping, schema.as_deref()));
        }
        Ok(problems)
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        self.api.check_usage().await?;
        let mut records: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            records.entry((change.object, change.external_id.clone())).or_default().push(index);
        }
        let mut results = vec![Restored::Unchanged; changes.len()];
        for indices in records.values() {
            let of_record: Vec<&FieldChange> = indices.iter().map(|index| &changes[*index]).collect();
            let restored = match self.restore_record(&of_record).await {
                Ok(restored) => restored,
                Err(refusal) => return Err(self.failure_of(refusal).await),
            };
            for (index, restored) in indices.iter().zip(restored) {
                results[*index] = restored;
            }
        }
        Ok(results)
    }
}

fn is_conversion(planned: &PlannedAction) -> bool {
    matches!(planned.action, Action::ConvertLead(_))
}
