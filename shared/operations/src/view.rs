use grounding::{Claim, GroundingStatus, ReasonCode};
use jiff::Timestamp;
use lead::{Decision, Failure, Fit, FitScore, Intent, LeadId, LeadStatus, Personal};
use serde::Serialize;
use store::{AnalysisRecord, Assignment, LeadRecord, ReviewDecision};

use crate::routing::RoutingView;

/// A lead as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct LeadView {
    /// Which lead.
    pub lead_id: LeadId,
    /// Where it stands.
    pub status: LeadStatus,
    /// Who.
    pub email: Personal<String>,
    /// Through which campaign.
    pub campaign_id: String,
    /// The name, as given.
    pub name: Option<Personal<String>>,
    /// The company, as given.
    pub company: Option<String>,
    /// The title, as given.
    pub title: Option<String>,
    /// The telephone number, as given.
    pub phone: Option<Personal<String>>,
    /// 0 to 100.
    pub fit_score: Option<FitScore>,
    /// The level the score amounts to.
    pub fit: Option<Fit>,
    /// How ready to buy.
    pub intent: Option<Intent>,
    /// What is to be done.
    pub decision: Option<Decision>,
    /// What the grounding contract made of the analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounding: Option<GroundingView>,
    /// The claims that passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Vec<Claim>>,
    /// Who judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisView>,
    /// Where it was written.
    pub crm: Option<CrmView>,
    /// Who has it, as the CRM calls them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why they have it, and until when somebody is to respond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingView>,
    /// What people decided about it while it was held, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<ReviewDecision>,
    /// Why it waits or was parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How many contents it has had.
    pub revision: i64,
    /// First accepted.
    pub created_at: Timestamp,
    /// Last changed.
    pub updated_at: Timestamp,
}

/// What the grounding contract made of an analysis.
#[derive(Clone, Debug, Serialize)]
pub struct GroundingView {
    /// Whether the answer stood.
    pub status: GroundingStatus,
    /// What it broke.
    pub reasons: Vec<ReasonView>,
}

/// One breach of the contract.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonView {
    /// Machine-readable.
    pub code: ReasonCode,
    /// For a person.
    pub message: String,
}

/// Who judged.
#[derive(Clone, Debug, Serialize)]
pub struct AnalysisView {
    /// The service.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Whether nobody answered and the neutral verdict stands in.
    pub fallback: bool,
}

/// Where a lead was written.
#[derive(Clone, Debug, Serialize)]
pub struct CrmView {
    /// Which CRM.
    pub provider: String,
    /// The record there.
    pub record_id: String,
}

impl LeadView {
    /// The same, with who has it and what people decided about it.
    #[must_use]
    pub fn with(self, assignment: Option<&Assignment>, reviews: Vec<ReviewDecision>) -> Self {
        let owner = assignment.and_then(|given| Some(given.owner.as_ref()?.to_string()));
        Self { owner, routing: assignment.map(RoutingView::new), reviews, ..self }
    }

    /// A lead with the analysis in force, where it is to be shown.
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
