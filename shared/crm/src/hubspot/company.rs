//! The company that a plan is about.

use lead::Failure;

use super::HubSpotCrm;
use super::schema::readable;
use crate::{Object, PresentRecord};

/// The property of companies that people know them by. It is not unique.
const DOMAIN: &str = "domain";

/// The domains of a company beside its first one, with `;` between them.
const MORE_DOMAINS: &str = "hs_additional_domains";

/// A company, by its domain.
pub(super) struct Company {
    pub(super) domain: String,
    pub(super) present: Option<PresentRecord>,
    /// Whether it has our key; otherwise it was found by its domain and gets the key.
    pub(super) keyed: bool,
    /// The id of the company with our key that people have deleted, where there is no other one.
    pub(super) deleted: Option<String>,
}

impl HubSpotCrm {
    /// The company of a domain: by our key, or by its own domain where people or `HubSpot` created it. Of several the
    /// one with the lowest id, which is the oldest: every process chooses the same. One that people have deleted is not
    /// created again.
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
        let is_further = |record: &PresentRecord| {
            let more = record.value(MORE_DOMAINS).and_then(|more| more.as_str()).unwrap_or_default();
            more.split(';').any(|one| one.trim().eq_ignore_ascii_case(domain))
        };
        // A company that another one was merged into is found by its further domain, and keeps the key it has.
        let (unclaimed, claimed): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|record| record.value(key).is_none());
        if let Some(record) = oldest(unclaimed) {
            return Ok(company(Some(record), false));
        }
        if let Some(record) = oldest(claimed.into_iter().filter(is_further).collect()) {
            return Ok(company(Some(record), true));
        }
        let deleted = self.api.read_deleted(object, key, domain).await?;
        Ok(Some(Company { domain: domain.to_owned(), present: None, keyed: true, deleted }))
    }
}
