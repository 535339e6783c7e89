//! Lookup of the company that a plan concerns.

use lead::Failure;

use super::HubSpotCrm;
use super::schema::readable;
use crate::{Object, PresentRecord};

/// The primary domain of a company. It is not unique.
const DOMAIN: &str = "domain";

/// The secondary domains of a company, separated by `;`.
const MORE_DOMAINS: &str = "hs_additional_domains";

/// The company of a domain.
pub(super) struct Company {
    pub(super) domain: String,
    pub(super) present: Option<PresentRecord>,
    /// Whether its key stays as it is. Otherwise it was found by its domain and will get the key.
    pub(super) keyed: bool,
    /// The id of the deleted company with the key, if there is no other company.
    pub(super) deleted: Option<String>,
}

impl HubSpotCrm {
    /// Finds the company of a domain by key or, if a user or `HubSpot` created it, by its domains.
    ///
    /// Of several companies the one with the lowest id, the oldest, is chosen, so that every process chooses
    /// the same one. A deleted company is reported and not created again.
    pub(super) async fn company_of(&self, domain: &str) -> Result<Option<Company>, Failure> {
        let Some((mapping, schema)) = self.ready(Object::Company).await? else { return Ok(None) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let properties = readable(&self.mapping, &[Object::Company], &schema);
        let company =
            |present, keyed| Some(Company { domain: domain.to_owned(), present, keyed, deleted: None });
        if let Some(present) = self.api.read_record(object, key, domain, &properties).await? {
            return Ok(company(Some(present), true));
        }
        let also = Some(MORE_DOMAINS).filter(|name| schema.0.contains_key(*name));
        let found = self.api.search(object, DOMAIN, also, domain, &properties).await?;
        let oldest = |records: Vec<PresentRecord>| {
            records.into_iter().min_by_key(|record| record.record_id.parse().unwrap_or(u64::MAX))
        };
        let has_secondary_domain = |record: &PresentRecord| {
            let more = record.value(MORE_DOMAINS).and_then(|more| more.as_str()).unwrap_or_default();
            more.split(';').any(|one| one.trim().eq_ignore_ascii_case(domain))
        };
        // The survivor of a merge has the domain as a secondary one, and keeps its own key.
        let (unclaimed, claimed): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|record| record.value(key).is_none());
        if let Some(record) = oldest(unclaimed) {
            return Ok(company(Some(record), false));
        }
        if let Some(record) = oldest(claimed.into_iter().filter(has_secondary_domain).collect()) {
            return Ok(company(Some(record), true));
        }
        let deleted = self.api.read_deleted(object, key, domain).await?;
        Ok(Some(Company { domain: domain.to_owned(), present: None, keyed: true, deleted }))
    }
}
