//! `HubSpot`.
//!
//! A lead is a contact: `HubSpot` lets one e-mail address have one contact only. The company is a record of its own, tasks
//! are tasks, activities notes, opportunities deals. What each action does is told in `docs/hubspot.md`.
//!
//! # Which contact is the lead's
//!
//! 1. The one whose key property (`revenueflow_id`) holds the lead's id: those that we created.
//! 2. Otherwise the one with the lead's e-mail address: it was there before us, or a lead of another campaign made it.
//!    It is adopted: a note whose own key is the lead's id is put on it, the anchor. From then on the lead's contact is
//!    found by the anchor, whatever happens to address and key. Neither of two leads of one person can take the contact
//!    away from the other, since nobody ever changes a key or an anchor that is there.
//! 3. Otherwise it is created by an upsert on the key, which is atomic. A conflict on the address then means that somebody
//!    was quicker, and everything is looked up again; or that a contact has the address as a further one, by which it cannot be
//!    looked up. `HubSpot` names that contact when it refuses, and it is adopted as in 2. Its first address stays.
//!
//! # The writes
//!
//! All decisions are made against what was read; then each kind of record is written in one batch: existing records by
//! their id, new ones by upsert on their key. A record that is there is never created again, and an association that is
//! made twice is there once, so doing a half-done plan again completes it.

mod adoption;
mod api;
mod company;
mod errors;
mod execute;
mod facts;
mod follow;
mod leave_out;
mod look;
mod markup;
mod outcome;
mod owners;
mod pace;
mod records;
mod resolve;
mod restore;
mod schema;
mod setup;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lead::{Clock, Dependency, Failure, LeadId};
use outbound::{Method, Url};
use secrecy::SecretString;
use serde_json::Value;

use self::api::Api;
use self::owners::Owners;
use self::resolve::Hints;
use self::schema::Schemas;
pub use self::setup::NewProperty;
use crate::{
    About, Effect, Executor, FieldChange, Followed, Foreseen, Known, Mapping, Object, ObjectSchema,
    OwnerStanding, PlannedAction, Problem, Restored, SchemaProblem,
};

/// As failures and the breaker name it.
const DEPENDENCY: Dependency = Dependency::new("crm.hubspot");

/// Where `HubSpot` is and who we are there.
#[derive(Clone, Debug)]
pub struct HubSpotSettings {
    /// `https://api.hubapi.com`, or a fake.
    pub base_url: Url,
    /// The version in every path: a date such as `2026-03`, or `v3` for the undated paths.
    pub version: String,
    /// Who we are.
    pub credentials: HubSpotCredentials,
}

/// How we show who we are. Its `Debug` hides the secrets.
#[derive(Clone, Debug)]
pub enum HubSpotCredentials {
    /// The token of a private app, which does not expire.
    PrivateApp(SecretString),
    /// An OAuth app.
    OAuth {
        /// Its client id.
        client_id: String,
        /// Its client secret.
        client_secret: SecretString,
        /// The refresh token of its installation; without one, tokens are asked for by client credentials.
        refresh_token: Option<SecretString>,
    },
}

/// `HubSpot` as a CRM.
pub struct HubSpotCrm {
    api: Api,
    mapping: Arc<Mapping>,
    schemas: Schemas,
    owners: Owners,
    clock: Arc<dyn Clock>,
}

impl HubSpotCrm {
    /// An account of `HubSpot`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be set up.
    pub fn new(
        settings: HubSpotSettings,
        mapping: Arc<Mapping>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let api = Api::new(settings, Arc::clone(&clock))?;
        let (schemas, owners) = (Schemas::default(), Owners::default());
        Ok(Self { api, mapping, schemas, owners, clock })
    }
}

#[async_trait]
impl Executor for HubSpotCrm {
    fn provider(&self) -> &'static str {
        "hubspot"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        self.do_all(lead, actions).await
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.look_for(lead, action).await
    }

    /// Asks for the property that names leads: it shows that we are let in, and that there is something to write to.
    async fn probe(&self) -> Result<(), Failure> {
        let Some(lead) = self.mapping.object(Object::Lead) else { return Ok(()) };
        self.schemas.forget();
        let path = self.api.path("properties", &[lead.object(), lead.external_id()]);
        match self.api.get_if_there(&path, &[]).await? {
            Some(reply) if reply["hasUniqueValue"] == Value::Bool(true) => Ok(()),
            _ => Err(schema::unprepared(lead.object(), lead.external_id())),
        }
    }

    async fn account(&self) -> Result<Option<String>, Failure> {
        let details = self.api.call(Method::GET, &self.api.account_path(), &[], None).await?;
        Ok(Some(format!("account {}", details["portalId"])))
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.known(about).await
    }

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStanding> {
        self.owners.get(&self.api, ids.iter().cloned().collect()).await
    }

    async fn follow(&self, lead: &LeadId, record_id: &str) -> Result<Option<Followed>, Failure> {
        self.follow_contact(lead, record_id).await
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        Ok(self.resolve(lead, actions, Hints::default()).await?.into_changes())
    }

    async fn preview_written(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<Foreseen, Failure> {
        let hints = Hints { written: Some(record_id), ..Hints::default() };
        let resolution = self.resolve(lead, actions, hints).await?;
        let at = resolution.contact.as_ref().map(|contact| &contact.present.record_id);
        let at = at.filter(|at| *at != record_id).cloned();
        let followed = at.map(|to| Followed { from: record_id.to_owned(), to });
        Ok(Foreseen { followed, changes: resolution.into_changes() })
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.schemas.forget();
        let mut problems = Vec::new();
        for (_, object) in self.mapping.objects() {
            let schema = self.schemas.get(&self.api, object.object()).await?;
            problems.extend(ObjectSchema::problems(object, schema.as_deref()));
        }
        for problem in &mut problems {
            let can_be_made = problem
                .field
                .as_deref()
                .is_some_and(|field| field.starts_with(setup::OURS) && problem.problem == Problem::Missing);
            if can_be_made {
                problem.message.push_str("; `revenueflow crm setup` creates it");
            }
        }
        Ok(problems)
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        self.put_back(changes).await
    }
}
