use enrichment::{Enrichment, EnrichmentStatus};
use grounding::{FactSheet, FieldPath, Namespace};
use jiff::Timestamp;
use lead::DeliveryId;
use serde::Serialize;
use serde_json::Value;
use store::{AnalysisRecord, CrmFacts, CrmRead, DeliveryRecord, LeadRecord};

/// The known facts at the judgement, or so far for a lead without one.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct KnownFacts {
    /// All facts with their sources.
    pub facts: Vec<Fact>,
    /// The computed scores, part by part.
    pub sums: Vec<ScoreBreakdown>,
    /// The result of enrichment, in a sentence.
    pub enrichment: String,
    /// The providers that could not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

/// One fact.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Fact {
    /// The path in the fact sheet, such as `enrichment.industry`.
    pub path: String,
    /// The value.
    pub value: Value,
    /// The source: a provider, a CRM, `sender`, `sent by` and the name of a source, or the version of the
    /// profile that computed it.
    pub said_by: String,
    /// The time of the fact, if it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A score that the profile computed, with its parts.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct ScoreBreakdown {
    /// `fit` or `intent`.
    pub of: &'static str,
    /// 0 to 100.
    pub total: i64,
    /// The addends; the total is limited to 0 to 100.
    pub parts: Vec<ScorePart>,
}

/// One addend of a score.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct ScorePart {
    /// The name of the part.
    pub name: &'static str,
    /// The points that it added.
    pub points: i64,
    /// The matching entry of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<Value>,
}

/// A provider that could not answer.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Unanswered {
    /// The provider.
    pub provider: String,
    /// The machine-readable reason.
    pub code: String,
    /// The reason for a person.
    pub message: String,
}

/// The parts of the fit score: name, path of the points, path of the matching entry.
const FIT: &[(&str, &str, &str)] = &[
    ("industry", "industry_points", "industry_match"),
    ("size", "size_points", "size_band"),
    ("country", "geo_points", "geo_match"),
    ("technologies", "tech_points", "tech_match"),
    ("mailbox", "mailbox_points", "mailbox"),
    (STEALTH, "stealth_fit_points", "executive_stealth"),
];
/// The parts of the intent score.
const INTENT: &[(&str, &str, &str)] = &[
    ("engagement", "engagement_points", "engagement_level"),
    ("signals", "signal_points", "signals"),
    ("campaign", "campaign_points", "campaign_tier"),
    ("title", "title_points", "title_level"),
    (STEALTH, "stealth_intent_points", "executive_stealth"),
];
/// Rare, and only shown with points.
const STEALTH: &str = "executive stealth";

impl KnownFacts {
    pub(super) fn new(
        lead: &LeadRecord,
        analysis: Option<&AnalysisRecord>,
        deliveries: &[DeliveryRecord],
    ) -> Self {
        let of: &DeliveryId = analysis.map_or(&lead.delivery_id, |analysis| &analysis.delivery_id);
        let delivery = deliveries.iter().find(|delivery| delivery.delivery_id == *of);
        let enrichment = delivery
            .and_then(|delivery| delivery.enrichment.clone())
            .and_then(|stored| serde_json::from_value::<Enrichment>(stored).ok());
        // A CRM read of another round was not known to this judgement.
        let of_round = |read: &&CrmRead| analysis.is_none_or(|analysis| analysis.round == read.round);
        let crm_read = delivery.and_then(|delivery| delivery.crm_read.as_ref()).filter(of_round);
        let sheet = match analysis {
            Some(analysis) => analysis.facts.clone(),
            None => sheet_so_far(lead, enrichment.as_ref(), crm_read),
        };
        let said = Sources { enrichment: enrichment.as_ref(), crm_read, delivery, analysis };
        Self {
            facts: sheet.leaves().map(|(path, value)| said.fact(&path, value)).collect(),
            sums: [sum("fit", "baseline_score", FIT, &sheet), sum("intent", "intent_score", INTENT, &sheet)]
                .into_iter()
                .flatten()
                .collect(),
            enrichment: enrichment_in_words(enrichment.as_ref()),
            unanswered: (enrichment.iter().flat_map(|enrichment| &enrichment.errors))
                .map(|error| Unanswered {
                    provider: error.provider.to_string(),
                    code: error.failure.code.to_string(),
                    message: error.failure.message.clone(),
                })
                .chain(crm_read.and_then(account_unread))
                .collect(),
        }
    }

    /// The fact at a path.
    pub(super) fn fact(&self, path: &str) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.path == path)
    }

    /// A computed value.
    pub(super) fn computed(&self, name: &str) -> Option<&Value> {
        self.fact(&format!("computed.{name}")).map(|fact| &fact.value)
    }
}

/// A CRM that could not search for the company's account.
fn account_unread(read: &CrmRead) -> Option<Unanswered> {
    let CrmFacts::Known(known) = &read.facts else { return None };
    known.account_unread.then(|| Unanswered {
        provider: read.provider.clone().unwrap_or_else(|| "crm".to_owned()),
        code: "account_unread".to_owned(),
        message: "the company's account could not be searched for in time and counts as unknown".to_owned(),
    })
}

/// The sources of facts.
struct Sources<'a> {
    enrichment: Option<&'a Enrichment>,
    crm_read: Option<&'a CrmRead>,
    delivery: Option<&'a DeliveryRecord>,
    analysis: Option<&'a AnalysisRecord>,
}

impl Sources<'_> {
    fn fact(&self, path: &FieldPath, value: &Value) -> Fact {
        let (said_by, at) = match path.namespace() {
            Namespace::Enrichment => self.provider(path),
            Namespace::Computed => {
                let profile = self.analysis.map_or("", |analysis| analysis.icp_version.as_str());
                (format!("profile {profile}"), self.analysis.map(|analysis| analysis.created_at))
            }
            Namespace::Salesforce => self.crm(path).unwrap_or_else(|| self.sender()),
            Namespace::Marketo | Namespace::Product => self.sender(),
        };
        Fact { path: path.as_str().to_owned(), value: value.clone(), said_by, at }
    }

    fn sender(&self) -> (String, Option<Timestamp>) {
        let sender = self.delivery.map(|delivery| &delivery.sender).filter(|sender| !sender.is_unnamed());
        let said_by = sender.map_or_else(|| "sender".to_owned(), |sender| format!("sent by {}", sender.name));
        (said_by, self.delivery.map(|delivery| delivery.received_at))
    }

    /// The CRM, if it was read and is the source of this field.
    fn crm(&self, path: &FieldPath) -> Option<(String, Option<Timestamp>)> {
        let read = self.crm_read.filter(|read| read.states(field_of(path)))?;
        Some((read.provider.clone().unwrap_or_else(|| "crm".to_owned()), read.at))
    }

    /// Provenance is stored for each top-level field of the company.
    fn provider(&self, path: &FieldPath) -> (String, Option<Timestamp>) {
        match self.enrichment.and_then(|enrichment| enrichment.provenance.get(field_of(path))) {
            Some(source) => (source.provider.to_string(), Some(source.fetched_at)),
            None => ("unknown".to_owned(), None),
        }
    }
}

/// The top-level field of a path.
fn field_of(path: &FieldPath) -> &str {
    path.within_namespace().split('.').next().unwrap_or_default()
}

/// The facts so far, for a lead without a fact sheet.
fn sheet_so_far(lead: &LeadRecord, enrichment: Option<&Enrichment>, crm_read: Option<&CrmRead>) -> FactSheet {
    let mut sheet = FactSheet::new();
    let mut salesforce = lead.content.salesforce.clone();
    if let Some(read) = crm_read {
        read.overlay(&mut salesforce);
    }
    sheet.set(Namespace::Salesforce, salesforce);
    sheet.set(Namespace::Marketo, lead.content.marketo.clone());
    sheet.set(Namespace::Product, lead.content.product.clone());
    if let Some(company) = enrichment.and_then(Enrichment::found)
        && let Ok(Value::Object(company)) = serde_json::to_value(company)
    {
        sheet.set(Namespace::Enrichment, company);
    }
    sheet
}

fn sum(
    of: &'static str,
    total: &str,
    parts: &[(&'static str, &'static str, &'static str)],
    sheet: &FactSheet,
) -> Option<ScoreBreakdown> {
    let facts = sheet.namespace(Namespace::Computed)?;
    let parts = parts.iter().filter_map(|(name, points, matched)| {
        let points = facts.get(*points)?.as_i64()?;
        let part = ScorePart { name, points, matched: facts.get(*matched).cloned() };
        (part.name != STEALTH || points != 0).then_some(part)
    });
    Some(ScoreBreakdown { of, total: facts.get(total)?.as_i64()?, parts: parts.collect() })
}

fn enrichment_in_words(enrichment: Option<&Enrichment>) -> String {
    let Some(enrichment) = enrichment else {
        return "No provider has been asked about the company yet.".to_owned();
    };
    match enrichment.status {
        EnrichmentStatus::Found => {
            let mut providers: Vec<_> =
                enrichment.provenance.values().map(|source| source.provider.as_ref()).collect();
            providers.sort_unstable();
            providers.dedup();
            format!("The company is known to {}.", providers.join(", "))
        }
        EnrichmentStatus::NotFound => "No provider knows the company.".to_owned(),
        EnrichmentStatus::PrivateMailbox => {
            "The address is a private mailbox, which says nothing about an employer, so no provider was asked."
                .to_owned()
        }
        EnrichmentStatus::OverLimit => {
            "The source had sent more leads than its limit of the day, so no provider was asked.".to_owned()
        }
        EnrichmentStatus::Unavailable => {
            "Nothing is known about the company, and not every provider could answer.".to_owned()
        }
    }
}
