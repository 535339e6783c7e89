use grounding::{Answer, Claim, GroundingStatus, ReasonCode, decide};
use jiff::Timestamp;
use lead::{Decision, DeliveryId, Fit, FitScore, Intent};
use serde::Serialize;
use serde_json::Value;
use store::AnalysisRecord;

use super::KnownFacts;

/// An analyst's claims, their check by the grounding contract, and the decision.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Judgement {
    /// The AI service.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Whether the analyst gave no answer, so that the neutral verdict applies.
    pub fallback: bool,
    /// The time of the judgement.
    pub at: Timestamp,
    /// The judged revision, if it is among those received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Whether the judged content is the newest.
    pub is_of_newest: bool,
    /// The number of the judgement of this content, from 1.
    pub round: i64,
    /// The analyst's conclusions before the check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Conclusion>,
    /// All claims, starting with those that broke a rule.
    pub claims: Vec<CheckedClaim>,
    /// The conclusions that were lowered because the claims do not support them.
    pub adjustments: Vec<Adjustment>,
    /// Whether the answer was accepted.
    pub grounding: GroundingStatus,
    /// The fit score, 0 to 100.
    pub fit_score: FitScore,
    /// The level of the score.
    pub fit: Fit,
    /// The readiness to buy.
    pub intent: Intent,
    /// The decided next step.
    pub decision: Decision,
    /// The reason of the decision, in a sentence.
    pub because: String,
    /// The lowest score of a HIGH fit.
    pub fit_high_from: FitScore,
    /// The lowest score of a MEDIUM fit.
    pub fit_medium_from: FitScore,
    /// When retention removed the analyst's answer; absent while it is there. The claims and the verdict are
    /// still as they were checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_removed_at: Option<Timestamp>,
    /// The analyst's prose: a quotation that is not checked, not acted on and not sent anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_words: Option<String>,
}

/// The conclusions of an analyst.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Conclusion {
    /// The fit score, 0 to 100.
    pub fit_score: FitScore,
    /// The readiness to buy.
    pub intent: Intent,
    /// The next step that the analyst chose.
    pub decision: Decision,
}

/// A claim with its check against the facts.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct CheckedClaim {
    /// The claim; one that passed has the value as its source wrote it.
    pub claim: Claim,
    /// Whether the claim is true.
    pub passed: bool,
    /// The broken rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ReasonCode>,
    /// The error in the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The fact at the claim's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fact: Option<Value>,
    /// The source of the fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_by: Option<String>,
    /// The time of the fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_at: Option<Timestamp>,
}

/// A lowered conclusion.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Adjustment {
    /// The rule.
    pub code: ReasonCode,
    /// The change and its reason.
    pub message: String,
}

impl Judgement {
    pub(super) fn new(
        analysis: &AnalysisRecord,
        knew: &KnownFacts,
        revision: Option<i64>,
        newest: &DeliveryId,
    ) -> Self {
        let verdict = &analysis.verdict;
        let answer = Answer::parse(&analysis.raw_answer).ok();
        let broken = verdict.reasons.iter().filter_map(|breach| {
            let claim = breach.claim.clone()?;
            let (code, message) = (Some(breach.code), Some(breach.message.clone()));
            Some(CheckedClaim { fact: breach.fact.clone(), ..checked(claim, false, code, message, knew) })
        });
        let passed = verdict.evidence.iter().map(|claim| checked(claim.clone(), true, None, None, knew));
        Self {
            provider: analysis.provider.clone(),
            model: analysis.model.clone(),
            fallback: analysis.fallback,
            at: analysis.created_at,
            revision,
            is_of_newest: analysis.delivery_id == *newest,
            round: analysis.round,
            claims: broken.chain(passed).collect(),
            adjustments: (verdict.reasons.iter().filter(|breach| breach.claim.is_none()))
                .map(|breach| Adjustment { code: breach.code, message: breach.message.clone() })
                .collect(),
            grounding: verdict.status,
            fit_score: verdict.fit_score,
            fit: verdict.fit,
            intent: verdict.intent,
            decision: verdict.decision,
            because: because(analysis),
            fit_high_from: analysis.contract.fit_high_from,
            fit_medium_from: analysis.contract.fit_medium_from,
            answer_removed_at: analysis.removed.as_ref().map(|removed| removed.at),
            asked: answer.as_ref().map(|answer| Conclusion {
                fit_score: answer.fit_score,
                intent: answer.intent,
                decision: answer.decision,
            }),
            own_words: answer.map(|answer| answer.reasoning).filter(|words| !words.trim().is_empty()),
        }
    }
}

fn checked(
    claim: Claim,
    passed: bool,
    code: Option<ReasonCode>,
    message: Option<String>,
    knew: &KnownFacts,
) -> CheckedClaim {
    // A list is one fact, and so is each of its members.
    let fact = knew.fact(&claim.field_path);
    CheckedClaim {
        fact: fact.map(|fact| fact.value.clone()),
        said_by: fact.map(|fact| fact.said_by.clone()),
        said_at: fact.and_then(|fact| fact.at),
        claim,
        passed,
        code,
        message,
    }
}

/// The reason of the decision, in a sentence.
fn because(analysis: &AnalysisRecord) -> String {
    let verdict = &analysis.verdict;
    let (fit, intent, decision) = (verdict.fit, verdict.intent, verdict.decision);
    let allowed = decide(fit, intent);
    if analysis.fallback {
        format!(
            "No analyst could answer: a score of 50 and {decision}, which claims nothing and leaves the decision to a person."
        )
    } else if verdict.status == GroundingStatus::Rejected {
        format!(
            "A claim that is not true puts the whole analysis in doubt, so nothing of it is acted on: {decision}."
        )
    } else if decision == allowed {
        format!("Fit {fit} with intent {intent} makes {decision}.")
    } else if decision == Decision::ManualReview {
        format!(
            "Fit {fit} with intent {intent} would make {allowed}, but the analyst asked for a person, which is always allowed."
        )
    } else {
        format!(
            "Fit {fit} with intent {intent} would allow {allowed}, but the analyst asked for {decision} only."
        )
    }
}
