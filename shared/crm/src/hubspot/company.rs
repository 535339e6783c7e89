//! Lookup of the company that a plan concerns.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use lead::{Failure, FailureClass};
use serde_json::{Map, Value};

use super::HubSpotCrm;
use super::calls::holds;
use super::facts::{COMPANY_FACTS, DEALS_COUNT};
use super::memory::{Companies, Deletion, Memory};
use super::schema::readable;
use crate::{Object, ObjectMapping, PresentRecord};

/// The primary domain of a company. It is not unique.
const DOMAIN: &str = "domain";

/// The secondary domains of a company, separated by `;`.
pub(super) const MORE_DOMAINS: &str = "hs_additional_domains";

/// How long the list of deleted companies is cached.
const DELETED_TTL: SignedDuration = SignedDuration::from_mins(10);
/// The maximum number of pages of that list. In an account with more deleted companies, each new company is
/// looked up among them.
const MAX_DELETED_PAGES: usize = 10;

/// The company of a domain.
#[derive(Clone)]
pub(super) struct Company {
    pub(super) domain: String,
    pub(super) present: Option<PresentRecord>,
    /// Whether its key stays as it is. Otherwise it was found by its domain and will get the key.
    pub(super) keyed: bool,
    /// The id of the deleted company with the key, if there is no other company.
    pub(super) deleted: Option<String>,
}

/// The deleted companies with a key, as last listed: their ids by key. None for too many, or if the account
/// refuses the list.
#[derive(Default)]
pub(super) struct DeletedCompanies(tokio::sync::Mutex<Option<Listed>>);

struct Listed {
    at: Timestamp,
    ids: Option<HashMap<String, String>>,
}

impl HubSpotCrm {
    /// Finds the company of a domain by key or, if a user or `HubSpot` created it, by its domains.
    ///
    /// Of several companies the one with the lowest id, the oldest, is chosen, so that every process chooses
    /// the same one. A deleted company is reported and not created again. With `thorough` nothing is
    /// remembered, and the company is read by its key first, which the search index may not have yet.
    pub(super) async fn company_of(&self, domain: &str, thorough: bool) -> Result<Option<Company>, Failure> {
        let Some((mapping, _)) = self.ready(Object::Company).await? else { return Ok(None) };
        let key = mapping.external_id();
        let company =
            |present, keyed| Some(Company { domain: domain.to_owned(), present, keyed, deleted: None });
        if thorough {
            self.memory.forget_companies(domain);
        }
        let companies = self.companies_of(domain, thorough).await?;
        if let Some(present) = companies.found.iter().find(|record| has_key(record, key, domain)) {
            return Ok(company(Some(present.clone()), true));
        }
        // The survivor of a merge has the domain as a secondary one, and keeps its own key.
        let (unclaimed, claimed): (Vec<_>, Vec<_>) =
            companies.found.iter().partition(|record| record.value(key).is_none());
        if let Some(record) = oldest(unclaimed) {
            return Ok(company(Some(record.clone()), false));
        }
        let has_secondary_domain = |record: &&PresentRecord| holds(record, MORE_DOMAINS, domain);
        if let Some(record) = oldest(claimed.into_iter().filter(has_secondary_domain).collect()) {
            return Ok(company(Some(record.clone()), true));
        }
        let mut deletion = companies.deletion.clone();
        if deletion == Deletion::NotLookedUp {
            deletion = self.deleted_company(mapping, domain, thorough).await?;
            let companies = Companies { deletion: deletion.clone(), ..companies };
            self.memory.note_companies(domain, companies, self.clock.now());
        }
        let deleted = deletion.record();
        Ok(Some(Company { domain: domain.to_owned(), present: None, keyed: true, deleted }))
    }

    /// The companies of a domain: remembered, by key with `thorough`, or by search.
    pub(super) async fn companies_of(&self, domain: &str, thorough: bool) -> Result<Companies, Failure> {
        let now = self.clock.now();
        if let Some(known) = self.memory.companies(domain, now) {
            return Ok(known);
        }
        let ready = self.ready(Object::Company).await?;
        let object = ready.as_ref().map_or("companies", |(mapping, _)| mapping.object());
        let (mut names, mut properties) = (vec![DOMAIN], COMPANY_FACTS.map(str::to_owned).to_vec());
        if let Some((mapping, schema)) = &ready {
            properties.extend(readable(&self.mapping, &[Object::Company], schema));
            names.extend(Some(MORE_DOMAINS).filter(|name| schema.0.contains_key(*name)));
            names.push(mapping.external_id());
            if thorough
                && let Some(record) =
                    self.calls.read_by(object, mapping.external_id(), domain, &properties).await?
            {
                let companies = Companies { found: vec![record], deletion: Deletion::NotLookedUp };
                self.memory.note_companies(domain, companies.clone(), now);
                return Ok(companies);
            }
        }
        let found = self.calls.search_domain(object, &names, domain, &properties).await?;
        let is_missed = found.is_empty() && self.memory.has_seen_company(domain, now);
        let mut companies = Companies { found, deletion: Deletion::NotLookedUp };
        if let (true, Some((mapping, _))) = (is_missed, &ready) {
            // A company that this process knew: the index may lag, or a person has deleted the company.
            let key = mapping.external_id();
            match self.calls.read_by(object, key, domain, &properties).await? {
                Some(record) => companies.found.push(record),
                None => {
                    companies.deletion = self.calls.read_deleted(object, key, domain).await?.into();
                }
            }
        }
        self.memory.note_companies(domain, companies.clone(), now);
        Ok(companies)
    }

    /// Whether the company with a domain's key was deleted: looked up with `thorough`, and otherwise from the
    /// list that is read every [`DELETED_TTL`].
    async fn deleted_company(
        &self,
        mapping: &ObjectMapping,
        domain: &str,
        thorough: bool,
    ) -> Result<Deletion, Failure> {
        if !thorough {
            let now = self.clock.now();
            let mut cached = self.deleted_companies.0.lock().await;
            if cached.as_ref().is_none_or(|listed| now.duration_since(listed.at) >= DELETED_TTL) {
                *cached = Some(Listed { at: now, ids: self.list_deleted(mapping).await? });
            }
            if let Some(ids) = cached.as_ref().and_then(|listed| listed.ids.as_ref()) {
                return Ok(ids.get(&domain.to_lowercase()).cloned().into());
            }
        }
        Ok(self.calls.read_deleted(mapping.object(), mapping.external_id(), domain).await?.into())
    }

    async fn list_deleted(
        &self,
        mapping: &ObjectMapping,
    ) -> Result<Option<HashMap<String, String>>, Failure> {
        let (mut listed, mut after) = (HashMap::new(), None);
        for _ in 0..MAX_DELETED_PAGES {
            let key = mapping.external_id();
            let listed_page = self.api.list_deleted(mapping.object(), key, after.as_deref()).await;
            let (page, next) = match listed_page {
                Err(failure) if failure.class() == FailureClass::Permanent => return Ok(None),
                page => page?,
            };
            let keyed = page.into_iter().filter_map(|record| {
                let key = record.value(key).and_then(Value::as_str)?.to_lowercase();
                Some((key, record.record_id))
            });
            listed.extend(keyed);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(Some(listed)),
            }
        }
        Ok(None)
    }
}

impl Memory {
    /// Remembers the company of a domain as it is after a write of `fields`. `key` is the name of its key.
    pub(super) fn note_company_written(
        &self,
        company: &Company,
        key: &str,
        record_id: &str,
        fields: Map<String, Value>,
        now: Timestamp,
    ) {
        let mut record = company.present.clone().unwrap_or_else(|| PresentRecord {
            record_id: record_id.to_owned(),
            fields: Map::from_iter([
                (key.to_owned(), Value::String(company.domain.clone())),
                (DEALS_COUNT.to_owned(), Value::Null), // a new company has none
            ]),
            adopted: false,
        });
        // The API shows every value as a text.
        record.fields.extend(fields.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, Value::String(text)),
            other => (name, Value::String(other.to_string())),
        }));
        let companies = Companies { found: vec![record], deletion: Deletion::NotLookedUp };
        self.note_companies(&company.domain, companies, now);
    }
}

fn has_key(record: &PresentRecord, key: &str, domain: &str) -> bool {
    record.value(key).and_then(Value::as_str).is_some_and(|held| held.eq_ignore_ascii_case(domain))
}

fn oldest(records: Vec<&PresentRecord>) -> Option<&PresentRecord> {
    records.into_iter().min_by_key(|record| record.record_id.parse().unwrap_or(u64::MAX))
}
