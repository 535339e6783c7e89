//! Facts about a person and a company, read from `HubSpot` before the analysis.

use lead::Failure;
use serde_json::Value;

use super::HubSpotCrm;
use crate::{About, Known, KnownAccount, KnownContact, KnownOpportunity, Object, OwnerStatus, PresentRecord};

const CONTACTS: &str = "contacts";
const COMPANIES: &str = "companies";
const DEALS: &str = "deals";
const OWNER: &str = "hubspot_owner_id";

impl HubSpotCrm {
    /// Reads contact, company and open deals. Four calls for an unknown person, at most eight.
    pub(super) async fn known(&self, about: &About) -> Result<Known, Failure> {
        let person = self.person(about).await?;
        let company = match &about.company_domain {
            Some(domain) => self.company(domain).await?,
            None => None,
        };
        let mut deals = Vec::new();
        for (object, record) in [(CONTACTS, &person), (COMPANIES, &company)] {
            if let Some(record) = record {
                deals.extend(self.api.associated(object, DEALS, &[record.record_id.as_str()]).await?);
            }
        }
        let mut ids: Vec<&str> = deals.iter().map(|(_, deal)| deal.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let records = [&person, &company].into_iter().flatten();
        let owners = records.filter_map(|record| text(record, OWNER)).collect();
        let owners = self.owners.get(&self.api, owners).await;
        // An inactive owner is dropped, so that routing assigns the lead to another one.
        let active = |record: &PresentRecord| {
            text(record, OWNER).filter(|id| owners.get(id) != Some(&OwnerStatus::Inactive))
        };
        Ok(Known {
            account_unread: false,
            lead: None,
            own: None, // the lead's own record is the contact
            contact: person.map(|record| KnownContact {
                owner_id: active(&record),
                stage: text(&record, "lifecyclestage"),
            }),
            account: company.map(|record| KnownAccount {
                owner_id: active(&record),
                kind: text(&record, "type").or_else(|| text(&record, "lifecyclestage")),
            }),
            open_opportunities: self.open_deals(&ids).await?,
        })
    }

    /// The contact by address or, if its address has changed, by the lead's key.
    async fn person(&self, about: &About) -> Result<Option<PresentRecord>, Failure> {
        let properties = names(&[OWNER, "lifecyclestage"]);
        let by_address = self.api.read_record(CONTACTS, "email", about.email.expose(), &properties).await?;
        let Some((mapping, _)) = self.ready(Object::Lead).await? else { return Ok(by_address) };
        if by_address.is_some() {
            return Ok(by_address);
        }
        self.api.read_record(CONTACTS, mapping.external_id(), about.lead_id.as_str(), &properties).await
    }

    /// The company by key, which is fast and not subject to the search index's lag; otherwise by domain.
    async fn company(&self, domain: &str) -> Result<Option<PresentRecord>, Failure> {
        let properties = names(&[OWNER, "type", "lifecyclestage"]);
        if let Some((mapping, _)) = self.ready(Object::Company).await? {
            let key = mapping.external_id();
            if let Some(company) = self.api.read_record(COMPANIES, key, domain, &properties).await? {
                return Ok(Some(company));
            }
        }
        let found = self.api.search(COMPANIES, "domain", None, domain, &properties).await?;
        Ok(found.into_iter().next())
    }

    /// The open deals among `ids`, the most recently modified first, with the labels of their stages.
    async fn open_deals(&self, ids: &[&str]) -> Result<Vec<KnownOpportunity>, Failure> {
        let properties = names(&["dealstage", "amount", "hs_is_closed", "hs_lastmodifieddate"]);
        let mut deals = self.api.read_records(DEALS, None, ids, &properties).await?;
        deals.retain(|deal| text(deal, "hs_is_closed").as_deref() != Some("true"));
        if deals.is_empty() {
            return Ok(Vec::new());
        }
        // Timestamps are RFC 3339 in UTC, so their lexical order is chronological.
        deals.sort_by_key(|deal| std::cmp::Reverse(text(deal, "hs_lastmodifieddate")));
        let labels = self.stage_labels().await?;
        let label = |stage: String| {
            let label = labels.iter().find(|(id, _)| *id == stage).map(|(_, label)| label.clone());
            label.unwrap_or(stage)
        };
        let known = deals.iter().take(Known::MAX_OPPORTUNITIES).map(|deal| KnownOpportunity {
            stage: text(deal, "dealstage").map(label).unwrap_or_default(),
            amount: text(deal, "amount").and_then(|amount| amount.parse().ok()),
        });
        Ok(known.collect())
    }

    async fn stage_labels(&self) -> Result<Vec<(String, String)>, Failure> {
        let response =
            self.api.get_if_there(&self.api.path("pipelines", &[DEALS]), &[]).await?.unwrap_or_default();
        let pipelines = response["results"].as_array().into_iter().flatten();
        let stages = pipelines.flat_map(|pipeline| pipeline["stages"].as_array().into_iter().flatten());
        let named = stages.filter_map(|stage: &Value| {
            Some((stage["id"].as_str()?.to_owned(), stage["label"].as_str()?.to_owned()))
        });
        Ok(named.collect())
    }
}

fn text(record: &PresentRecord, name: &str) -> Option<String> {
    record.value(name).and_then(Value::as_str).map(str::to_owned)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
