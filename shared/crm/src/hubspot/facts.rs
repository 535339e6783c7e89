//! Facts about a person and a company, read from `HubSpot` before the analysis.

use futures::future::try_join;
use jiff::{SignedDuration, Timestamp};
use lead::Failure;
use serde_json::Value;

use super::HubSpotCrm;
use super::calls::{ReadLane, holds};
use crate::{
    About, Known, KnownAccount, KnownContact, KnownOpportunity, Object, ObjectMapping, OwnerStatus,
    PresentRecord,
};

const CONTACTS: &str = "contacts";
const COMPANIES: &str = "companies";
const DEALS: &str = "deals";
const OWNER: &str = "hubspot_owner_id";

/// The number of a record's deals, closed ones too.
pub(super) const DEALS_COUNT: &str = "num_associated_deals";
/// The id of a contact's primary company.
pub(super) const PRIMARY_COMPANY: &str = "associatedcompanyid";

/// The properties of a contact that facts and associations depend on.
pub(super) const CONTACT_FACTS: [&str; 4] = [OWNER, "lifecyclestage", DEALS_COUNT, PRIMARY_COMPANY];
/// The properties of a company that facts depend on.
pub(super) const COMPANY_FACTS: [&str; 4] = [OWNER, "type", "lifecyclestage", DEALS_COUNT];

/// How long the labels of deal stages are cached.
const LABELS_TTL: SignedDuration = SignedDuration::from_mins(10);

/// The labels of deal stages by id, and the time of their last read.
#[derive(Default)]
pub(super) struct StageLabels(tokio::sync::Mutex<Option<(Timestamp, Labels)>>);

type Labels = Vec<(String, String)>;

impl HubSpotCrm {
    /// Reads contact, company and open deals. Two calls for an unknown person; three more if there are deals.
    /// A lead that was written before is also looked up by its key, in case its address has changed.
    pub(super) async fn known(&self, about: &About, is_written: bool) -> Result<Known, Failure> {
        let company = async {
            match &about.company_domain {
                Some(domain) => self.known_company(domain).await,
                None => Ok(None),
            }
        };
        let (person, company) = try_join(self.person(about, is_written), company).await?;
        let mut deals = Vec::new();
        for (object, record) in [(CONTACTS, &person), (COMPANIES, &company)] {
            if let Some(record) = record.as_ref().filter(|record| has_deals(record)) {
                deals.extend(self.calls.associated(object, DEALS, vec![record.record_id.clone()]).await?);
            }
        }
        let mut ids: Vec<String> = deals.into_iter().map(|(_, deal)| deal).collect();
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
            open_opportunities: self.open_deals(ids).await?,
        })
    }

    /// The contact by address or, if it was written and its address has changed, by the lead's key.
    async fn person(&self, about: &About, is_written: bool) -> Result<Option<PresentRecord>, Failure> {
        let ready = self.ready(Object::Lead).await?;
        let Some((mapping, schema)) = ready else {
            let properties = CONTACT_FACTS.map(str::to_owned);
            return self.contact_by_address(&about.email, CONTACTS, &properties).await;
        };
        let properties = self.contact_properties(&schema);
        let found = self.contact_by_address(&about.email, CONTACTS, &properties).await?;
        if found.is_some() || !is_written {
            return Ok(found);
        }
        self.calls.read_by(CONTACTS, mapping.external_id(), about.lead_id.as_str(), &properties).await
    }

    /// The company by key, otherwise the most recently modified one of the domain.
    async fn known_company(&self, domain: &str) -> Result<Option<PresentRecord>, Failure> {
        let found = self.companies_of(domain, false).await?.found;
        let key = self.mapping.object(Object::Company).map(ObjectMapping::external_id);
        let is_keyed = |record: &PresentRecord| key.is_some_and(|key| holds(record, key, domain));
        let keyed = found.iter().position(is_keyed).unwrap_or_default();
        Ok(found.into_iter().nth(keyed))
    }

    /// The open deals among `ids`, the most recently modified first, with the labels of their stages.
    async fn open_deals(&self, ids: Vec<String>) -> Result<Vec<KnownOpportunity>, Failure> {
        let properties = ["dealstage", "amount", "hs_is_closed", "hs_lastmodifieddate"].map(str::to_owned);
        let lane = ReadLane { object: DEALS.to_owned(), unique: None, archived: false };
        let mut deals = self.calls.read(lane, ids, &properties).await?;
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

    async fn stage_labels(&self) -> Result<Labels, Failure> {
        let now = self.clock.now();
        let mut cached = self.stage_labels.0.lock().await;
        if let Some((_, labels)) = cached.as_ref().filter(|(at, _)| now.duration_since(*at) < LABELS_TTL) {
            return Ok(labels.clone());
        }
        let response =
            self.api.get_if_there(&self.api.path("pipelines", &[DEALS]), &[]).await?.unwrap_or_default();
        let pipelines = response["results"].as_array().into_iter().flatten();
        let stages = pipelines.flat_map(|pipeline| pipeline["stages"].as_array().into_iter().flatten());
        let named = stages.filter_map(|stage: &Value| {
            Some((stage["id"].as_str()?.to_owned(), stage["label"].as_str()?.to_owned()))
        });
        let labels: Labels = named.collect();
        *cached = Some((now, labels.clone()));
        Ok(labels)
    }
}

/// Whether a record may have deals. An account without the count is asked for them.
fn has_deals(record: &PresentRecord) -> bool {
    !record.fields.contains_key(DEALS_COUNT) || text(record, DEALS_COUNT).is_some_and(|count| count != "0")
}

fn text(record: &PresentRecord, name: &str) -> Option<String> {
    record.value(name).and_then(Value::as_str).map(str::to_owned)
}
