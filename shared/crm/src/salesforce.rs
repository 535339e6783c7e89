//! Salesforce, by its REST API. `docs/salesforce.md` says how an org is prepared for it.

mod api;
mod describe;
mod errors;
mod facts;
mod jwt;
mod merged;
mod owners;
mod session;
mod settings;
mod state;
mod usage;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lead::{Dependency, Failure, LeadId};
use outbound::{Http, Method};
use serde_json::json;

use self::api::{Api, Call};
use self::describe::Schemas;
use self::errors::{ADMIN_WAIT, Meaning, Refusal};
use self::facts::AccountSearch;
use self::owners::Owners;
use self::session::Sessions;
pub use self::settings::{AutoAssign, SalesforceCredentials, SalesforceSettings};
use self::state::{LeadState, State, found, present, readable};
use self::usage::Usage;
use self::write::{Outcomes, standing};
use crate::{
    About, Action, Effect, Executor, FieldChange, Followed, Foreseen, Known, Mapping, ObjectSchema,
    OwnerStanding, PlannedAction, PresentRecord, Restored, SchemaProblem,
};

const DEPENDENCY: Dependency = Dependency::new("crm.salesforce");

/// Salesforce.
///
/// A plan takes two calls of the org's daily limit: one that reads the records it is about, and one composite call that
/// writes them by external id; a record for which nothing is left to write is not sent. Each part of the composite call
/// stands for itself (`allOrNone` is false): a task that is refused does not undo the lead, and its action says so.
///
/// A lead that was converted is read-only in Salesforce. Its contact is written instead, and tasks are about the contact.
///
/// What stops every lead (refused credentials, a used-up limit, missing rights or fields) is a deferral, so that leads
/// wait and none is dead-lettered, and an error in the log, so that somebody looks.
pub struct Salesforce {
    settings: SalesforceSettings,
    mapping: Arc<Mapping>,
    api: Api,
    schemas: Schemas,
    owners: Owners,
    accounts: AccountSearch,
}

impl Salesforce {
    /// An executor; nothing is called yet.
    ///
    /// # Errors
    ///
    /// When the private key cannot be read, or the HTTP client cannot be set up.
    pub fn new(settings: SalesforceSettings, mapping: Arc<Mapping>) -> Result<Self, Failure> {
        let http = Http::new(DEPENDENCY, settings.http)?;
        let sessions = Sessions::new(settings.url.clone(), settings.credentials.clone())?;
        let api = Api::new(http, sessions, Usage::new(settings.usage_percent), &settings.api_version);
        let (schemas, owners, accounts) = (Schemas::default(), Owners::default(), AccountSearch::default());
        Ok(Self { settings, mapping, api, schemas, owners, accounts })
    }

    /// Looks, decides and writes; and once more for what had changed in between.
    async fn run(&self, lead: &LeadId, actions: &[PlannedAction]) -> Outcomes {
        let mut outcomes = self.attempt(lead, actions).await;
        let is_stale = |outcome: &Result<Effect, Refusal>| {
            matches!(outcome, Err(Refusal { meaning: Meaning::Again | Meaning::Access, .. }))
        };
        if outcomes.iter().any(is_stale) {
            self.schemas.forget();
            let from_first_stale = outcomes.iter().position(is_stale).unwrap_or_default();
            // What has been done is done: looked at again, nothing is left to write of it.
            let done = outcomes[..from_first_stale].to_vec();
            outcomes = done;
            outcomes.extend(self.attempt(lead, &actions[from_first_stale..]).await);
        }
        outcomes
    }

    async fn attempt(&self, lead: &LeadId, actions: &[PlannedAction]) -> Outcomes {
        match self.read_state(lead, actions).await {
            Ok(state) => self.write(lead, actions, &state).await,
            Err(refusal) => vec![Err(refusal)],
        }
    }

    /// A right that is missing for all leads stops them all; one that is missing for this record is this lead's.
    async fn judged(&self, refusal: Refusal) -> Failure {
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

    /// Converts a lead through the customer's own Apex class: the REST API has no resource for it.
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
        let answer = self.api.call(&call).await?.success();
        // Whatever it says, what counts is whether the lead is converted now.
        match self.read_state(lead, actions).await?.lead {
            LeadState::Converted(contact) => Ok(Effect::new(contact.record_id, false)),
            _ => Err(answer.err().unwrap_or_else(|| {
                let message = "the Apex class answered, and the lead is not converted";
                Failure::permanent("crm_not_converted", message).on(DEPENDENCY).into()
            })),
        }
    }

    /// Puts back the changes of one record. Each is decided on what the ones before it left.
    async fn restore_record(&self, changes: &[&FieldChange]) -> Result<Vec<Restored>, Refusal> {
        let Some((object, id)) =
            changes.iter().find_map(|change| Some((change.object, change.record_id.as_ref()?)))
        else {
            return Ok(changes.iter().map(|change| settled(change)).collect());
        };
        let mapping = self.mapped(object)?;
        let schema = self.schemas.get(&self.api, mapping.object()).await?;
        let fields = schema.as_deref().map(|schema| readable(mapping, schema)).unwrap_or_default();
        let path = self.path_by_id(mapping.object(), id, &fields);
        let mut record: Option<PresentRecord> =
            found(self.api.call(&Call::get(path)).await?)?.as_ref().map(present);
        let mut back = serde_json::Map::new();
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            results.push(match change.restorable(schema.as_deref(), record.as_ref()) {
                Ok(old) => {
                    if let Some(record) = &mut record {
                        record.fields.insert(change.field.clone(), old.clone());
                    }
                    back.insert(change.field.clone(), old);
                    Restored::PutBack
                }
                Err(restored) => restored,
            });
        }
        if !back.is_empty() {
            let path = self.path_by_id(mapping.object(), id, "");
            self.api.call(&Call::save(path, self.save_headers(), back)).await?.success()?;
        }
        Ok(results)
    }
}

/// What becomes of a change to a record that we created.
fn settled(change: &FieldChange) -> Restored {
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
        // Conversion changes what the later actions write to: it stands by itself.
        for part in actions.chunk_by(|a, b| !is_conversion(a) && !is_conversion(b)) {
            let outcomes = match &part[0].action {
                Action::ConvertLead(convert) => {
                    vec![self.convert(lead, &part[0], convert.converted_status.expose()).await]
                }
                _ => self.run(lead, part).await,
            };
            let is_cut_short = outcomes.len() < part.len();
            for outcome in outcomes {
                results.push(match outcome {
                    Ok(effect) => Ok(effect),
                    Err(refusal) => Err(self.judged(refusal).await),
                });
            }
            if is_cut_short || results.iter().any(Result::is_err) {
                break;
            }
        }
        results
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.api.check_usage().await?;
        let state = match self.read_state(lead, std::slice::from_ref(action)).await {
            Ok(state) => state,
            Err(refusal) => return Err(self.judged(refusal).await),
        };
        if let Action::ConvertLead(_) = action.action {
            return Ok(standing(&state).filter(|_| Self::is_converted_by(&state, &action.action)));
        }
        let writes = state.writes(self, lead, action);
        if !writes.iter().all(crate::RecordWrite::is_in_place) {
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
        let parts: Vec<_> = [self.api.usage.in_words(), codes].into_iter().flatten().collect();
        Ok((!parts.is_empty()).then(|| parts.join(", ")))
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.api.read_limits().await?;
        self.api.usage.check()?;
        // Leads wait for an administrator as well: without this they would be let go, only to wait again.
        self.schemas.forget();
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

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStanding> {
        self.owners.get(&self.api, ids.iter().cloned().collect()).await
    }

    async fn follow(&self, lead: &LeadId, record_id: &str) -> Result<Option<Followed>, Failure> {
        self.api.check_usage().await?;
        match self.follow_merge(lead, record_id).await {
            Ok(followed) => Ok(followed),
            Err(refusal) => Err(self.judged(refusal).await),
        }
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.api.check_usage().await?;
        self.known(about).await
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        self.api.check_usage().await?;
        let state: State = match self.read_state(lead, actions).await {
            Ok(state) => state,
            Err(refusal) => return Err(self.judged(refusal).await),
        };
        Ok(state.changes(self, lead, actions))
    }

    async fn preview_written(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<Foreseen, Failure> {
        self.api.check_usage().await?;
        match self.foresee(lead, record_id, actions).await {
            Ok(foreseen) => Ok(foreseen),
            Err(refusal) => Err(self.judged(refusal).await),
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
        for (place, change) in changes.iter().enumerate() {
            records.entry((change.object, change.external_id.clone())).or_default().push(place);
        }
        let mut results = vec![Restored::Unchanged; changes.len()];
        for places in records.values() {
            let of_record: Vec<&FieldChange> = places.iter().map(|place| &changes[*place]).collect();
            let restored = match self.restore_record(&of_record).await {
                Ok(restored) => restored,
                Err(refusal) => return Err(self.judged(refusal).await),
            };
            for (place, restored) in places.iter().zip(restored) {
                results[*place] = restored;
            }
        }
        Ok(results)
    }
}

fn is_conversion(planned: &PlannedAction) -> bool {
    matches!(planned.action, Action::ConvertLead(_))
}
