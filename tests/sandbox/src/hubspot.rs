//! `HubSpot`: the part of its CRM API that an integration of leads meets.
//!
//! Contacts, companies, deals, notes and tasks with single and batch calls, unique properties and upserts, search behind
//! an index that lags, the properties API, associations with `HubSpot`'s own type ids, owners, deal pipelines, OAuth, and
//! the rate limits with their headers. Every path answers in its old shape (`/crm/v3/objects/contacts`) and in the dated
//! one (`/crm/objects/2026-03/contacts`).
//!
//! Requests are served one after the other, so that each is atomic. What people do in the browser is done below `/_account`:
//! `docs/sandbox.md` lists it.

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
mod single;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use lead::{Clock, SystemClock};

use self::account::Account;
pub use self::account::{RowFault, Settings};
pub use self::objects::{Kind, Record};
pub use self::properties::PropertyChange;

/// An account of `HubSpot`, with nothing in it but an owner and the default pipeline. Clones share it.
#[derive(Clone)]
pub struct HubSpot(Arc<Mutex<Account>>);

impl HubSpot {
    /// The token of the account's private app, until [`Settings::token`] says otherwise.
    pub const TOKEN: &str = "sandbox-private-app-token";

    /// The id of the account's one owner.
    pub const OWNER: &str = "71";

    /// A new account.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// A new account that lives by this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Mutex::new(Account::new(clock))))
    }

    /// A new account with the properties that RevenueFlow's own mapping asks for, as `revenueflow crm setup` makes them.
    pub fn prepared() -> Self {
        let hubspot = Self::new();
        for (kind, name, of_type, unique) in PREPARED {
            hubspot.account().properties.define(*kind, name, of_type, *unique);
        }
        hubspot
    }

    /// Its API, for [`Fake::serve`](crate::Fake::serve).
    pub fn router(&self) -> Router {
        dispatch::router(self)
    }

    /// Changes how it behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.account().settings);
    }

    /// Every record of a kind that is not archived, the oldest first.
    pub fn records(&self, kind: Kind) -> Vec<Record> {
        self.account().objects.live(kind).cloned().collect()
    }

    /// The one record of a kind with this value in a property.
    ///
    /// # Panics
    ///
    /// When there are several.
    pub fn record(&self, kind: Kind, property: &str, value: &str) -> Option<Record> {
        let mut records = self.records(kind);
        records.retain(|record| record.properties.get(property).is_some_and(|found| found == value));
        assert!(records.len() < 2, "{} records have that {property}", records.len());
        records.pop()
    }

    /// The ids of the records of another kind that a record is associated with, each with the ids of the association's types.
    pub fn associated(&self, kind: Kind, id: u64, with: Kind) -> BTreeMap<u64, Vec<u32>> {
        self.account().associations.of(kind, id, with)
    }

    /// Adds a record as a person would in the browser: nothing is checked, and search knows it at once.
    pub fn add(&self, kind: Kind, properties: &[(&str, &str)]) -> u64 {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut account = self.account();
        let now = account.now();
        account.objects.insert_indexed(kind, properties.collect(), now)
    }

    /// Changes properties of a record as a person would in the browser.
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

    /// Associates two records by the default type.
    pub fn associate(&self, from: Kind, id: u64, to: Kind, to_id: u64) {
        self.account().associations.add_default(from, id, to, to_id);
    }

    /// Creates a text property, unique or not.
    pub fn define(&self, kind: Kind, name: &str, unique: bool) {
        self.account().properties.define(kind, name, "string", unique);
    }

    /// Takes a property away.
    pub fn undefine(&self, kind: Kind, name: &str) {
        self.account().properties.remove(kind, name);
    }

    /// Makes every OAuth token issued so far an expired one.
    pub fn expire_tokens(&self) {
        self.account().expire_tokens();
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The properties of the built-in mapping that no account has by itself: name, type, whether it is unique.
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
