//! Explains the treatment of a lead: the known facts, the claims with their sources, the decision, the writes
//! to the CRM, and the counterfactuals.
//!
//! An explanation only uses stored data; it makes no new calls and guesses nothing. The analyst's prose
//! appears only as a quotation.

mod counterfactuals;
mod judgement;
mod known_facts;
mod next_steps;
mod other_leads;
mod plain;
mod text;

use std::fmt;

use jiff::Timestamp;
use lead::{DeliveryId, Failure, LeadId, LeadStatus, Personal};
use serde::Serialize;
use store::{ActionRecord, ActionState, AnalysisRecord, DeliveryRecord, DeliveryState, LeadRecord, Omission};

use crate::RoutingView;

pub use counterfactuals::Counterfactual;
pub use judgement::{Adjustment, CheckedClaim, Conclusion, Judgement};
pub use known_facts::{Fact, KnownFacts, ScoreBreakdown, ScorePart, Unanswered};
pub use other_leads::OtherLead;

/// The explanation of a lead's treatment.
// `Display` writes it as plain text for a person. There is no `Debug`, because it contains personal data.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// The lead's id.
    pub lead_id: LeadId,
    /// The person's e-mail address.
    #[schema(value_type = String)]
    pub email: Personal<String>,
    /// The campaign.
    pub campaign_id: String,
    /// The lead's status.
    pub status: LeadStatus,
    /// The status in a sentence.
    pub standing: String,
    /// The lead's contents, newest first.
    pub received: Vec<Received>,
    /// The newest other leads of the same person; empty if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub same_person: Vec<OtherLead>,
    /// The known facts.
    pub knew: KnownFacts,
    /// The claims, their check and the decision; none before the first judgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// The owner and the routing decision; absent before the assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingView>,
    /// The actions on the CRM, in order.
    pub crm: Vec<Written>,
    /// Conditions that would have changed the decision; empty if there are none.
    pub would_change: Vec<Counterfactual>,
    /// The next steps, automatic ones and possible ones, in sentences.
    pub next: Vec<String>,
}

/// One content of a lead.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Received {
    /// The number of this content, from 1.
    pub revision: i64,
    /// The state of its delivery.
    pub state: DeliveryState,
    /// The time at which the webhook was accepted.
    pub received_at: Timestamp,
    /// How often the same content was received again.
    pub duplicates: i64,
}

/// One action on the CRM, with the names of the written fields. Their values are in the CRM.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Written {
    /// The kind of action.
    pub kind: String,
    /// The CRM.
    pub provider: String,
    /// Its state.
    pub state: ActionState,
    /// The revision that caused it, if it is among those received above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The written record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// Whether the record was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// The written fields, by our names.
    pub fields: Vec<String>,
    /// The fields that did not reach the record, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Omission>,
    /// The reason that it had no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The time of its last change.
    pub at: Timestamp,
}

impl Explanation {
    /// Composes an explanation.
    ///
    /// `analysis` is the one in force, which may belong to an earlier content than the newest. `deliveries`
    /// are the lead's newest, newest first; `actions` are its newest, in the order of their start.
    pub fn new(
        lead: &LeadRecord,
        analysis: Option<&AnalysisRecord>,
        deliveries: Vec<DeliveryRecord>,
        actions: Vec<ActionRecord>,
    ) -> Self {
        let revision_of = |delivery: &DeliveryId| {
            deliveries.iter().find(|d| d.delivery_id == *delivery).map(|d| d.revision)
        };
        let knew = KnownFacts::new(lead, analysis, &deliveries);
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
            standing: next_steps::standing(lead, analysis),
            would_change: analysis
                .map(|analysis| counterfactuals::counterfactuals(analysis, &knew))
                .unwrap_or_default(),
            next: next_steps::steps(lead, analysis),
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
    /// Adds the routing decision.
    #[must_use]
    pub fn with_routing(self, routing: Option<RoutingView>) -> Self {
        Self { routing, ..self }
    }
}

impl Explanation {
    /// Adds the other leads of the person.
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
