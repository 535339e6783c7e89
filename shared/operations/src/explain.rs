//! Why a lead was treated as it was: what was known, what was claimed of it, what each claim rested on, what was
//! decided and written, and what would have changed it.
//!
//! Everything is put together from what is stored; nothing is asked anew and nothing is guessed. The analyst's prose
//! appears only as a quotation.

mod judgement;
mod knew;
mod next;
mod person;
mod plain;
mod text;
mod would_change;

use std::fmt;

use jiff::Timestamp;
use lead::{DeliveryId, Failure, LeadId, LeadStatus, Personal};
use serde::Serialize;
use store::{ActionRecord, AnalysisRecord, DeliveryRecord, LeadRecord, Omission};

use crate::RoutingView;

pub use judgement::{Adjustment, Asked, CheckedClaim, Judgement};
pub use knew::{Fact, Knew, Part, Sum, Unanswered};
pub use person::OtherLead;
pub use would_change::Counterfactual;

/// Why a lead was treated as it was. `Display` writes it as plain text for a person.
///
/// There is no `Debug`: it is made of what is known about a person.
#[derive(Clone, Serialize)]
pub struct Explanation {
    /// Which lead.
    pub lead_id: LeadId,
    /// Who.
    pub email: Personal<String>,
    /// Through which campaign.
    pub campaign_id: String,
    /// Where it stands.
    pub status: LeadStatus,
    /// Where it stands, in a sentence.
    pub standing: String,
    /// The contents it has had, newest first.
    pub received: Vec<Received>,
    /// The newest other leads of the same person; empty where this is the only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub same_person: Vec<OtherLead>,
    /// What was known of it.
    pub knew: Knew,
    /// What was claimed, checked and decided; none where nothing has been yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// Who has it, and why; absent where it has not been given to anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingView>,
    /// What was done to the CRM, in order.
    pub crm: Vec<Written>,
    /// What would have changed the decision; empty where there is none.
    pub would_change: Vec<Counterfactual>,
    /// What happens now, and what a person can do, in sentences.
    pub next: Vec<String>,
}

/// One content of a lead.
#[derive(Clone, Serialize)]
pub struct Received {
    /// Its place among the lead's contents, from 1.
    pub revision: i64,
    /// `open`, `done`, `superseded` or `failed`.
    pub state: String,
    /// When the webhook was accepted.
    pub received_at: Timestamp,
    /// How often the same content came again.
    pub duplicates: i64,
}

/// One action on the CRM. The values it wrote are in the CRM; here are their names.
#[derive(Clone, Serialize)]
pub struct Written {
    /// What kind of action.
    pub kind: String,
    /// Which CRM.
    pub provider: String,
    /// `pending`, `done`, `failed`, `skipped` or `refused`.
    pub state: String,
    /// The revision that it followed from, where that is among those received above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The record it wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// Whether the record was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// The fields it wrote, by our names.
    pub fields: Vec<String>,
    /// The fields that did not reach the record, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Omission>,
    /// Why it had no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When it was last heard of.
    pub at: Timestamp,
}

impl Explanation {
    /// Puts an explanation together.
    ///
    /// `analysis` is the one in force, which may be of an earlier content than the newest; `deliveries` are the lead's
    /// newest, newest first, and `actions` its newest in the order they were begun.
    pub fn new(
        lead: &LeadRecord,
        analysis: Option<&AnalysisRecord>,
        deliveries: Vec<DeliveryRecord>,
        actions: Vec<ActionRecord>,
    ) -> Self {
        let revision_of = |delivery: &DeliveryId| {
            deliveries.iter().find(|d| d.delivery_id == *delivery).map(|d| d.revision)
        };
        let knew = Knew::new(lead, analysis, &deliveries);
        let judgement = analysis.map(|analysis| {
            Judgement::new(analysis, &knew, revision_of(&analysis.delivery_id), &lead.delivery_id)
        });
        let crm = actions
            .into_iter()
            .map(|action| Written {
                revision: revision_of(&action.delivery_id),
                fields: action.parameters.as_object().map(names).unwrap_or_default(),
                kind: action.kind,
                provider: action.provider,
                state: action.state,
                record_id: action.record_id,
                created: action.created,
                left_out: action.left_out,
                failure: action.failure,
                at: action.updated_at,
            })
            .collect();
        Self {
            routing: None,
            same_person: Vec::new(),
            lead_id: lead.lead_id.clone(),
            email: lead.content.email.expose().to_owned().into(),
            campaign_id: lead.content.campaign_id.as_str().to_owned(),
            status: lead.status,
            standing: next::standing(lead, analysis),
            would_change: analysis
                .map(|analysis| would_change::counterfactuals(analysis, &knew))
                .unwrap_or_default(),
            next: next::steps(lead, analysis),
            knew,
            judgement,
            crm,
            received: deliveries
                .into_iter()
                .map(|delivery| Received {
                    revision: delivery.revision,
                    state: delivery.state,
                    received_at: delivery.received_at,
                    duplicates: delivery.duplicates,
                })
                .collect(),
        }
    }
}

fn names(fields: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone()).collect()
}

impl Explanation {
    /// The same, with who has the lead.
    #[must_use]
    pub fn with_routing(self, routing: Option<RoutingView>) -> Self {
        Self { routing, ..self }
    }
}

impl Explanation {
    /// The same, with the other leads of the person.
    #[must_use]
    pub fn with_same_person(self, same_person: Vec<OtherLead>) -> Self {
        Self { same_person, ..self }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}
