use grounding::{Answer, Claim, GroundingStatus, ReasonCode, decide};
use jiff::Timestamp;
use lead::{Decision, DeliveryId, Fit, FitScore, Intent};
use serde::Serialize;
use serde_json::Value;
use store::AnalysisRecord;

use super::Knew;

/// What an analyst claimed, what the grounding contract made of it, and what was decided.
#[derive(Clone, Serialize)]
pub struct Judgement {
    /// Who judged.
    pub provider: String,
    /// With which model.
    pub model: String,
    /// Whether nobody answered and the neutral verdict stands in.
    pub fallback: bool,
    /// When.
    pub at: Timestamp,
    /// The content that was judged, where it is among those received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Whether that is the newest content.
    pub is_of_newest: bool,
    /// Which judgement of that content it is, from 1.
    pub round: i64,
    /// What the analyst concluded, before it was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Every claim: those that broke a rule first.
    pub claims: Vec<CheckedClaim>,
    /// What was lowered because the claims do not carry it.
    pub adjustments: Vec<Adjustment>,
    /// Whether the answer stood.
    pub grounding: GroundingStatus,
    /// 0 to 100.
    pub fit_score: FitScore,
    /// The level that the score amounts to.
    pub fit: Fit,
    /// How ready to buy.
    pub intent: Intent,
    /// What is to be done.
    pub decision: Decision,
    /// Why that decision, in a sentence.
    pub because: String,
    /// From which score the fit was HIGH.
    pub fit_high_from: FitScore,
    /// From which score the fit was MEDIUM.
    pub fit_medium_from: FitScore,
    /// The analyst's own prose: a quotation, not checked, not acted on and sent nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_words: Option<String>,
}

/// What an analyst concluded.
#[derive(Clone, Serialize)]
pub struct Asked {
    /// 0 to 100.
    pub fit_score: FitScore,
    /// How ready to buy.
    pub intent: Intent,
    /// What it would do.
    pub decision: Decision,
}

/// A claim held against the facts.
#[derive(Clone, Serialize)]
pub struct CheckedClaim {
    /// The claim; of one that passed, with the value as its source wrote it.
    pub claim: Claim,
    /// Whether it is true.
    pub passed: bool,
    /// The rule it broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ReasonCode>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the facts say there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fact: Option<Value>,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_at: Option<Timestamp>,
}

/// A conclusion that was lowered.
#[derive(Clone, Serialize)]
pub struct Adjustment {
    /// The rule.
    pub code: ReasonCode,
    /// What was changed and why.
    pub message: String,
}

impl Judgement {
    pub(super) fn new(
        analysis: &AnalysisRecord,
        knew: &Knew,
        revision: Option<i64>,
        newest: &DeliveryId,
    ) -> Self {
        let verdict = &analysis.verdict;
        let answer = Answer::parse(&analysis.raw_answer, &analysis.contract).ok();
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
            asked: answer.as_ref().map(|answer| Asked {
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
    knew: &Knew,
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

/// Why the decision is what it is.
fn because(analysis: &AnalysisRecord) -> String {
    let verdict = &analysis.verdict;
    let (fit, intent, decision) = (verdict.fit, verdict.intent, verdict.decision);
    let allowed = decide(fit, intent);
    if analysis.fallback {
        format!(
            "No analyst could answer: a score of 50 and {decision}, which claims nothing and asks a person."
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
