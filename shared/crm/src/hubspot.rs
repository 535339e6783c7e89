//! The `HubSpot` executor.
//!
//! A lead is a contact, because `HubSpot` allows only one contact per e-mail address. Companies, tasks, notes
//! (activities) and deals (opportunities) are separate records. `docs/hubspot.md` describes the effect of
//! each action.
//!
//! # Finding the lead's contact
//!
//! 1. By the key property (`revenueflow_id`), which holds the lead's id on every contact that this executor
//!    created.
//! 2. By the lead's e-mail address. Such a contact existed before, or was created for a lead of another
//!    campaign. The executor adopts it: it attaches a note keyed with the lead's id, the anchor. From then on
//!    the anchor leads to the contact, even if its address and key change. Two leads of one person cannot
//!    take the contact from each other, since existing keys and anchors are never changed.
//! 3. If neither finds a contact, an atomic upsert on the key creates it. A conflict on the address then has
//!    one of two causes. Either another writer created the contact in the meantime, and the plan is resolved
//!    again; or a contact has the address as a secondary one, which cannot be looked up. `HubSpot` names that
//!    contact in its refusal, and the executor adopts it as in step 2. Its primary address does not change.
//!
//! # Writing
//!
//! The executor reads all records first and decides every write against them. Existing records are written
//! by id. New records are created with their unique key and their associations in one call, which is refused
//! if the record exists; the plan is then resolved again. Executing a partly executed plan again therefore
//! completes it.
//!
//! # Calls
//!
//! Every read, search and write goes through a lane of [`Calls`]: leads that wait at the same time share the
//! calls. A lead that was never written is looked up by its address alone, since the creation of a record
//! that exists is refused. [`Memory`] spares the reads that an earlier step of the lead has made.

mod adoption;
mod api;
mod calls;
mod company;
mod contact;
mod errors;
mod execute;
mod facts;
mod find;
mod follow;
mod leave_out;
mod markup;
mod memory;
mod owners;
mod rate_limit;
mod records;
mod resolve;
mod restore;
mod results;
mod schema;
mod settings;
mod setup;
mod token;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http_client::Method;
use lead::{Clock, Dependency, Failure, LeadId};
use serde_json::Value;

use self::api::Api;
use self::calls::Calls;
use self::company::DeletedCompanies;
use self::facts::StageLabels;
use self::memory::Memory;
use self::owners::OwnerCache;
use self::resolve::Hints;
use self::schema::SchemaCache;
pub use self::settings::{HubSpotCredentials, HubSpotSettings};
pub use self::setup::NewProperty;
use crate::{
    About, Effect, Executor, FieldChange, Followed, Known, Mapping, Object, ObjectSchema, OwnerStatus,
    PlannedAction, Problem, RecordPreview, Restored, SchemaProblem,
};

/// The name in failures and of the circuit breaker.
const DEPENDENCY: Dependency = Dependency::new("crm.hubspot");

/// Executes plans against a `HubSpot` account.
pub struct HubSpotCrm {
    api: Arc<Api>,
    calls: Calls,
    mapping: Arc<Mapping>,
    schemas: SchemaCache,
    owners: OwnerCache,
    deleted_companies: DeletedCompanies,
    stage_labels: StageLabels,
    memory: Memory,
    clock: Arc<dyn Clock>,
}

impl HubSpotCrm {
    /// Creates an executor. Sends no request.
    ///
    /// # Errors
    ///
    /// When the HTTP client cannot be set up, or the base URL and version make no valid token URL.
    pub fn new(
        settings: HubSpotSettings,
        mapping: Arc<Mapping>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let api = Arc::new(Api::new(settings, Arc::clone(&clock))?);
        Ok(Self {
            calls: Calls::new(Arc::clone(&api)),
            api,
            mapping,
            schemas: SchemaCache::default(),
            owners: OwnerCache::default(),
            deleted_companies: DeletedCompanies::default(),
            stage_labels: StageLabels::default(),
            memory: Memory::default(),
            clock,
        })
    }
}

#[async_trait]
impl Executor for HubSpotCrm {
    fn provider(&self) -> &'static str {
        "hubspot"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        self.execute_plan(lead, actions).await
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.find_effect(lead, action).await
    }

    /// Reads the key property of contacts, which checks both the credentials and the account's setup.
    async fn probe(&self) -> Result<(), Failure> {
        let Some(lead) = self.mapping.object(Object::Lead) else { return Ok(()) };
        self.schemas.invalidate();
        let path = self.api.path("properties", &[lead.object(), lead.external_id()]);
        match self.api.get_if_there(&path, &[]).await? {
            Some(reply) if reply["hasUniqueValue"] == Value::Bool(true) => Ok(()),
            _ => Err(schema::setup_incomplete(lead.object(), lead.external_id())),
        }
    }

    async fn account(&self) -> Result<Option<String>, Failure> {
        let details = self.api.call(Method::GET, &self.api.account_path(), &[], None).await?;
        Ok(Some(format!("account {}", details["portalId"])))
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.known(about, false).await
    }

    async fn facts_of_written(&self, about: &About, _record_id: &str) -> Result<Known, Failure> {
        self.known(about, true).await
    }

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStatus> {
        self.owners.get(&self.api, ids.iter().cloned().collect()).await
    }

    async fn follow(&self, lead: &LeadId, record_id: &str) -> Result<Option<Followed>, Failure> {
        self.follow_contact(lead, record_id).await
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        let resolution = self.resolve(lead, actions, Hints::default()).await?;
        let changes = resolution.changes();
        self.memory.prepare(lead, actions, resolution, self.clock.now());
        Ok(changes)
    }

    async fn preview_written(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<RecordPreview, Failure> {
        let hints = Hints { written: Some(record_id), thorough: true, ..Hints::default() };
        let resolution = self.resolve(lead, actions, hints).await?;
        let at = resolution.contact.as_ref().map(|contact| &contact.present.record_id);
        let at = at.filter(|at| *at != record_id).cloned();
        let followed = at.map(|to| Followed { from: record_id.to_owned(), to });
        Ok(RecordPreview { followed, changes: resolution.changes() })
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.schemas.invalidate();
        let mut problems = Vec::new();
        for (_, object) in self.mapping.objects() {
            let schema = self.schemas.get(&self.api, object.object()).await?;
            problems.extend(ObjectSchema::problems(object, schema.as_deref()));
        }
        for problem in &mut problems {
            let can_be_created = problem.field.as_deref().is_some_and(|field| {
                field.starts_with(setup::OWN_PREFIX) && problem.problem == Problem::Missing
            });
            if can_be_created {
                problem.message.push_str("; `revenueflow crm setup` creates it");
            }
        }
        Ok(problems)
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        self.restore_changes(changes).await
    }
}
