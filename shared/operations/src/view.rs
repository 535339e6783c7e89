use grounding::{Claim, GroundingStatus, ReasonCode};
use jiff::Timestamp;
use lead::{Decision, Failure, Fit, FitScore, Intent, LeadId, LeadStatus, Personal};
use serde::Serialize;
use store::{AnalysisRecord, Assignment, LeadRecord, ReviewDecision};

use crate::routing::RoutingView;

/// A lead.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "lead_id": "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a", "status": "synced",
    "email": "lead@stripe.com", "campaign_id": "launch_2024", "name": "Alex Smith", "company": null,
    "title": "CTO", "phone": null, "fit_score": 100, "fit": "HIGH", "intent": "HIGH",
    "decision": "ROUTE_TO_SDR", "grounding": {"status": "VALID", "reasons": []},
    "evidence": [{"source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Fintech",
        "claim_type": "FIRMOGRAPHIC"}],
    "analysis": {"provider": "rules", "model": "icp-2026-11-1", "fallback": false},
    "crm": {"provider": "mock", "record_id": "lead-1"}, "revision": 1,
    "created_at": "2026-01-31T09:00:00Z", "updated_at": "2026-01-31T09:00:01Z",
}))]
pub struct LeadView {
    /// SHA-256 of the e-mail address and the campaign.
    pub lead_id: LeadId,
    /// The lead's status.
    pub status: LeadStatus,
    /// The person's e-mail address.
    #[schema(value_type = String)]
    pub email: Personal<String>,
    /// The campaign.
    pub campaign_id: String,
    /// The name, as given.
    #[schema(required, value_type = Option<String>)]
    pub name: Option<Personal<String>>,
    /// The company, as given.
    #[schema(required)]
    pub company: Option<String>,
    /// The title, as given.
    #[schema(required)]
    pub title: Option<String>,
    /// The telephone number, as given.
    #[schema(required, value_type = Option<String>)]
    pub phone: Option<Personal<String>>,
    /// The score; null until the lead is judged, like the three fields below it.
    #[schema(required)]
    pub fit_score: Option<FitScore>,
    /// The level of the score.
    #[schema(required)]
    pub fit: Option<Fit>,
    /// The readiness to buy.
    #[schema(required)]
    pub intent: Option<Intent>,
    /// The decided next step.
    #[schema(required)]
    pub decision: Option<Decision>,
    /// The result of the grounding check. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounding: Option<GroundingView>,
    /// The claims that passed. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Vec<Claim>>,
    /// The origin of the judgement. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisView>,
    /// The lead's record in the CRM.
    #[schema(required)]
    pub crm: Option<CrmView>,
    /// The owner's id in the CRM. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The routing decision, with the deadline for a response. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingView>,
    /// The reviews while the lead was held, oldest first. Not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<ReviewDecision>,
    /// The reason that the lead waits or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The number of contents so far.
    pub revision: i64,
    /// The time of the first acceptance.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// The result of the grounding check of an analysis.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct GroundingView {
    /// Whether the answer was accepted.
    pub status: GroundingStatus,
    /// The rules that it broke.
    pub reasons: Vec<ReasonView>,
}

/// A breach of the grounding contract.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ReasonView {
    /// The machine-readable code.
    pub code: ReasonCode,
    /// The message for a person.
    pub message: String,
}

/// The origin of a judgement.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AnalysisView {
    /// The AI service.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Whether the analyst gave no answer, so that the neutral verdict applies.
    pub fallback: bool,
}

/// A lead's record in the CRM.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct CrmView {
    /// The CRM.
    pub provider: String,
    /// The id of the record.
    pub record_id: String,
}

impl LeadView {
    /// Adds the assignment and the reviews.
    #[must_use]
    pub fn with(self, assignment: Option<&Assignment>, reviews: Vec<ReviewDecision>) -> Self {
        let owner = assignment.and_then(|given| Some(given.owner.as_ref()?.to_string()));
        Self { owner, routing: assignment.map(RoutingView::new), reviews, ..self }
    }

    /// A lead, with the analysis in force where it is to be included.
    pub fn new(lead: LeadRecord, analysis: Option<&AnalysisRecord>) -> Self {
        let name = lead.content.full_name();
        Self {
            grounding: analysis.map(|analysis| GroundingView {
                status: analysis.verdict.status,
                reasons: (analysis.verdict.reasons.iter())
                    .map(|breach| ReasonView { code: breach.code, message: breach.message.clone() })
                    .collect(),
            }),
            evidence: analysis.map(|analysis| analysis.verdict.evidence.clone()),
            analysis: analysis.map(|analysis| AnalysisView {
                provider: analysis.provider.clone(),
                model: analysis.model.clone(),
                fallback: analysis.fallback,
            }),
            crm: lead
                .crm_provider
                .zip(lead.crm_record_id)
                .map(|(provider, record_id)| CrmView { provider, record_id }),
            owner: None,
            routing: None,
            reviews: Vec::new(),
            lead_id: lead.lead_id,
            status: lead.status,
            email: String::from(lead.content.email).into(),
            campaign_id: lead.content.campaign_id.into(),
            name,
            company: lead.content.company,
            title: lead.content.title,
            phone: lead.content.phone,
            fit_score: lead.fit_score,
            fit: lead.fit,
            intent: lead.intent,
            decision: lead.decision,
            failure: lead.failure,
            revision: lead.revision,
            created_at: lead.created_at,
            updated_at: lead.updated_at,
        }
    }
}
