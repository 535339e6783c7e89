//! The part of `HubSpot`'s CRM API that a lead integration uses.
//!
//! Contacts, companies, deals, notes and tasks with single and batch calls, unique properties and upserts,
//! search on a lagging index, the properties API, associations with `HubSpot`'s own type ids, owners, deal
//! pipelines, OAuth, and the rate limits with their headers. Every path exists in its old form
//! (`/crm/v3/objects/contacts`) and in the dated one (`/crm/objects/2026-03/contacts`).
//!
//! Requests are served one after the other, so that each is atomic. The paths below `/_account` stand for
//! actions in the browser: `docs/sandbox.md` lists them.

mod account;
mod associations;
mod batch;
mod control;
mod dispatch;
mod limits;
mod oauth;
mod objects;
mod properties;
mod refusal;
mod search;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use lead::{Clock, SystemClock};

use self::account::Account;
pub use self::account::{RowFault, Settings};
pub use self::objects::{Kind, Record};
pub use self::properties::PropertyChange;

/// A `HubSpot` account that contains only an owner and the default pipeline. Clones share the account.
#[derive(Clone)]
pub struct HubSpot(Arc<Mutex<Account>>);

impl HubSpot {
    /// The token of the account's private app, unless [`Settings::token`] overrides it.
    pub const TOKEN: &str = "sandbox-private-app-token";

    /// The id of the account's only owner.
    pub const OWNER: &str = "71";

    /// A new account.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// A new account that uses this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Mutex::new(Account::new(clock))))
    }

    /// A new account with the properties of RevenueFlow's built-in mapping, as `revenueflow crm setup`
    /// creates them.
    pub fn prepared() -> Self {
        let hubspot = Self::new();
        for (kind, name, of_type, unique) in PREPARED {
            hubspot.account().properties.define(*kind, name, of_type, *unique);
        }
        hubspot
    }

    /// The account's API, for [`Fake::serve`](crate::Fake::serve).
    pub fn router(&self) -> Router {
        dispatch::router(self)
    }

    /// Changes the account's settings.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.account().settings);
    }

    /// Every unarchived record of a kind, the oldest first.
    pub fn records(&self, kind: Kind) -> Vec<Record> {
        self.account().objects.live(kind).cloned().collect()
    }

    /// The record of a kind with this value in a property.
    ///
    /// # Panics
    ///
    /// When several records match.
    pub fn record(&self, kind: Kind, property: &str, value: &str) -> Option<Record> {
        let mut records = self.records(kind);
        records.retain(|record| record.properties.get(property).is_some_and(|found| found == value));
        assert!(records.len() < 2, "{} records have that {property}", records.len());
        records.pop()
    }

    /// The associated records of another kind by id, each with the type ids of the association.
    pub fn associated(&self, kind: Kind, id: u64, with: Kind) -> BTreeMap<u64, Vec<u32>> {
        self.account().associations.of(kind, id, with)
    }

    /// Adds a record as in the browser: without validation, and visible to search at once.
    pub fn add(&self, kind: Kind, properties: &[(&str, &str)]) -> u64 {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut account = self.account();
        let now = account.now();
        account.objects.insert_indexed(kind, properties.collect(), now)
    }

    /// Changes properties of a record as in the browser.
    pub fn edit(&self, kind: Kind, id: u64, properties: &[(&str, &str)]) {
        let mut account = self.account();
        let now = account.now();
        if let Some(record) = account.objects.get_mut(kind, id) {
            for (name, value) in properties {
                record.properties.insert((*name).to_owned(), (*value).to_owned());
            }
            record.touch(now);
        }
    }

    /// Associates two records with the default type.
    pub fn associate(&self, from: Kind, id: u64, to: Kind, to_id: u64) {
        self.account().associations.add_default(from, id, to, to_id);
    }

    /// Creates a text property.
    pub fn define(&self, kind: Kind, name: &str, unique: bool) {
        self.account().properties.define(kind, name, "string", unique);
    }

    /// Removes a property.
    pub fn undefine(&self, kind: Kind, name: &str) {
        self.account().properties.remove(kind, name);
    }

    /// Expires every OAuth token issued so far.
    pub fn expire_tokens(&self) {
        self.account().expire_tokens();
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The properties of the built-in mapping that a new account lacks: name, type, whether it is unique.
const PREPARED: &[(Kind, &str, &str, bool)] = &[
    (Kind::Contact, "revenueflow_id", "string", true),
    (Kind::Contact, "revenueflow_campaign", "string", false),
    (Kind::Contact, "revenueflow_score", "number", false),
    (Kind::Contact, "revenueflow_fit", "string", false),
    (Kind::Contact, "revenueflow_intent", "string", false),
    (Kind::Contact, "revenueflow_fallback", "bool", false),
    (Kind::Contact, "revenueflow_summary", "string", false),
    (Kind::Company, "revenueflow_domain_key", "string", true),
    (Kind::Company, "revenueflow_industry", "string", false),
    (Kind::Company, "revenueflow_technologies", "string", false),
    (Kind::Deal, "revenueflow_id", "string", true),
    (Kind::Note, "revenueflow_id", "string", true),
    (Kind::Task, "revenueflow_id", "string", true),
];

impl Default for HubSpot {
    fn default() -> Self {
        Self::new()
    }
}
