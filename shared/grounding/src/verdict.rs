use std::fmt;

use lead::{Decision, Fit, FitScore, Intent, vocabulary};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Claim, Contract};

/// The result of checking an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verdict {
    /// The version of the contract.
    pub contract_version: u32,
    /// Whether the answer was accepted, downgraded or rejected.
    pub status: GroundingStatus,
    /// Every breach: first the rejections, by claim, then the downgrades in the order of their application.
    pub reasons: Vec<Breach>,
    /// The score that the evidence supports.
    pub fit_score: FitScore,
    /// The level of fit of that score.
    pub fit: Fit,
    /// The intent that the evidence supports.
    pub intent: Intent,
    /// The decision; never stronger than the model's own or than the matrix allows.
    pub decision: Decision,
    /// The claims that passed, in a stable order, each with the value as its source wrote it.
    pub evidence: Vec<Claim>,
}

impl Verdict {
    /// The verdict for a lead that no AI could judge: score 50, manual review, no evidence.
    pub fn fallback(contract: &Contract) -> Self {
        Self {
            contract_version: contract.version,
            status: GroundingStatus::Valid,
            reasons: Vec::new(),
            fit_score: FitScore::FALLBACK,
            fit: contract.fit(FitScore::FALLBACK),
            intent: Intent::Low,
            decision: Decision::ManualReview,
            evidence: Vec::new(),
        }
    }
}

vocabulary! {
    /// The outcome of a check: the answer is accepted completely, in part, or not at all.
    GroundingStatus {
        /// The answer stands unchanged.
        Valid = "VALID",
        /// Every claim is true, but the conclusions went beyond them and were lowered.
        Downgraded = "DOWNGRADED",
        /// At least one claim is untrue: nothing of the answer may be acted on.
        Rejected = "REJECTED",
    }
}

/// One broken rule.
// Its `Debug` shows the code only: a claim and a fact may contain personal text.
#[derive(Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Breach {
    /// The broken rule.
    pub code: ReasonCode,
    /// The claim that broke it; absent for a conclusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The actual fact. Absent if there is none, if the path names a group of facts, and above 4096 bytes of
    /// JSON (the fact sheet is stored beside the verdict).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<Value>,
    /// One plain sentence. It contains no text of the model, and of the sources nothing but the path of a
    /// fact and values that the product computed.
    pub message: String,
}

impl Breach {
    /// The maximum size of a fact in a breach, in bytes of its JSON.
    pub const MAX_FACT_BYTES: usize = 4096;
}

impl fmt::Debug for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breach").field("code", &self.code).finish_non_exhaustive()
    }
}

/// The rules that an answer can break. `docs/grounding.md` explains each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The claim names a source that is not one of the five.
    UnauthorizedSource,
    /// The source does not own the path, or must not support a claim of that type.
    SourceMismatch,
    /// A claim about the company, although enrichment found none.
    NoEnrichment,
    /// The fact sheet has no fact at that path.
    UnknownField,
    /// The claimed value differs from the fact.
    ValueConflict,
    /// The score is too far from the computed baseline.
    ScoreOutOfBand,
    /// High intent without supporting evidence.
    WeakIntent,
    /// The intent is too far above the computed level.
    IntentOutOfBand,
    /// A level of fit without supporting evidence.
    WeakFit,
    /// The decision was stronger than fit and intent allow.
    DecisionLowered,
    /// A call that the computed fit and intent do not justify.
    CallNotInFacts,
    /// A true claim of a type that its fact does not support. It counts as the supported type.
    ClaimRetyped,
    /// A score or intent above the computed one, without a fact that fired a signal or matched the profile.
    RiseNotInFacts,
    /// A call to a person who opted out.
    OptedOut,
    /// A call without the evidence that the lead's source requires for one.
    CallLacksEvidence,
}

impl ReasonCode {
    /// The code as it is written in JSON, e.g. `value_conflict`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnauthorizedSource => "unauthorized_source",
            Self::SourceMismatch => "source_mismatch",
            Self::NoEnrichment => "no_enrichment",
            Self::UnknownField => "unknown_field",
            Self::ValueConflict => "value_conflict",
            Self::ScoreOutOfBand => "score_out_of_band",
            Self::WeakIntent => "weak_intent",
            Self::IntentOutOfBand => "intent_out_of_band",
            Self::WeakFit => "weak_fit",
            Self::DecisionLowered => "decision_lowered",
            Self::CallNotInFacts => "call_not_in_facts",
            Self::ClaimRetyped => "claim_retyped",
            Self::RiseNotInFacts => "rise_not_in_facts",
            Self::OptedOut => "opted_out",
            Self::CallLacksEvidence => "call_lacks_evidence",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
