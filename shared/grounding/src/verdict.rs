use std::fmt;

use lead::{Decision, Fit, FitScore, Intent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Claim, Contract};

/// What is left of an answer once it has been checked. Stored as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The version of the contract it was checked by.
    pub contract_version: u32,
    /// Whether the answer stood, stood in part, or fell.
    pub status: GroundingStatus,
    /// Every breach: the rejections first, by claim, then the downgrades in the order they were applied.
    pub reasons: Vec<Breach>,
    /// The score that the evidence carries.
    pub fit_score: FitScore,
    /// The level that score amounts to.
    pub fit: Fit,
    /// The intent that the evidence carries.
    pub intent: Intent,
    /// What is to be done; never a stronger action than the model asked for or the matrix allows.
    pub decision: Decision,
    /// The claims that passed, in a stable order, each with the fact as its source wrote it.
    pub evidence: Vec<Claim>,
}

impl Verdict {
    /// The verdict on a lead that no AI could judge: score 50 and a manual review, claiming nothing.
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

/// Whether an answer stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GroundingStatus {
    /// As it was.
    Valid,
    /// Every claim is true, but they do not carry all that was concluded from them.
    Downgraded,
    /// At least one claim is not true: nothing of the answer is acted on.
    Rejected,
}

impl GroundingStatus {
    /// The status as it is written in JSON, e.g. `VALID`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Downgraded => "DOWNGRADED",
            Self::Rejected => "REJECTED",
        }
    }
}

impl fmt::Display for GroundingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One rule that an answer broke.
///
/// Its `Debug` shows the code only: a claim and a fact may hold personal text.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Which rule.
    pub code: ReasonCode,
    /// The claim that broke it; none where it is the conclusion that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// What the facts really say there. Left out where they say nothing, where the path names a group of facts,
    /// and over [`Breach::MAX_FACT_BYTES`] (the fact sheet is stored beside the verdict).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<Value>,
    /// One plain sentence of ours. It repeats no text of the model and nothing a source said but the path of a fact.
    pub message: String,
}

impl Breach {
    /// The largest fact repeated in a breach, in bytes of its JSON.
    pub const MAX_FACT_BYTES: usize = 4096;
}

impl fmt::Debug for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breach").field("code", &self.code).finish_non_exhaustive()
    }
}

/// The rules that an answer can break. `docs/grounding.md` explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The claim names a source that is not one of the five.
    UnauthorizedSource,
    /// The source does not own the path, or may not support a claim of that type.
    SourceMismatch,
    /// A claim about the company, though enrichment found nothing.
    NoEnrichment,
    /// The fact sheet holds nothing under that path.
    UnknownField,
    /// The fact is another one.
    ValueConflict,
    /// The score is too far from the computed baseline.
    ScoreOutOfBand,
    /// High intent that no evidence carries.
    WeakIntent,
    /// The intent is too far above the computed level.
    IntentOutOfBand,
    /// A level of fit that no evidence carries.
    WeakFit,
    /// The decision was stronger than fit and intent allow.
    DecisionLowered,
    /// A call that the computed fit and intent do not amount to.
    CallNotInFacts,
    /// A true claim of a type that its fact does not support: it counts as the type that it does.
    ClaimRetyped,
    /// A score or intent above the computed one, without a fact that fired a signal or matched the profile.
    RiseNotInFacts,
    /// A call to a person who opted out.
    OptedOut,
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
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
