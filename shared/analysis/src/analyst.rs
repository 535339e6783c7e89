use std::fmt;

use async_trait::async_trait;
use grounding::{FactSheet, FieldPath, ReasonCode, Verdict};
use lead::{Dependency, Failure};
use serde::{Deserialize, Serialize};

/// Judges a lead from its facts. One implementation for each AI service, and [`Rules`](crate::Rules).
#[async_trait]
pub trait Analyst: Send + Sync {
    /// The short stable name of the service, such as `gemini`.
    fn provider(&self) -> &'static str;

    /// The model, in the service's own naming.
    fn model(&self) -> &str;

    /// Judges a lead. The analysis holds the provider's text, unchecked; its shape is [`grounding::Answer`].
    ///
    /// Fails if there is no answer to check: the service is unreachable, refuses the request, or returns
    /// nothing readable.
    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError>;

    /// Retries after an answer that the contract rejected, and names the broken rules. None if a retry cannot
    /// help because the same facts always give the same answer.
    ///
    /// Fails like [`analyse`](Self::analyse). The cost is the cost of this call only.
    async fn correct(
        &self,
        _facts: &FactSheet,
        _rejected: &Analysis,
        _objections: &[Objection],
    ) -> Result<Option<Analysis>, AnalysisError> {
        Ok(None)
    }

    /// The outside systems that the analyst calls, the preferred one first. Empty without any.
    fn dependencies(&self) -> Vec<Dependency> {
        Vec::new()
    }

    /// Whether one of the [`dependencies`](Self::dependencies) is usable now. Free while the circuit breaker
    /// is closed; a call of a few tokens when the breaker lets a probe through.
    async fn probe(&self, _dependency: &Dependency) -> Result<(), Failure> {
        Ok(())
    }

    /// Tests everything that a judgement needs from one of the [`dependencies`](Self::dependencies),
    /// independent of the circuit breaker. For setup checks: it may take minutes.
    async fn self_test(&self, dependency: &Dependency) -> Result<(), Failure> {
        self.probe(dependency).await
    }
}

/// One answer of an analyst and its cost. Stored as it is.
///
/// Its `Debug` omits the answer, which may contain any text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// [`Analyst::provider`].
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// The version of the prompt; none for an analyst without a prompt.
    #[serde(default)]
    pub prompt_version: Option<String>,
    /// JSON text, as the provider returned it.
    pub raw_answer: String,
    /// The tokens and the cost.
    pub usage: Usage,
    /// Time from the request to the complete answer, in milliseconds; 0 without a call.
    pub latency_ms: u64,
}

/// One rule that a rejected answer broke, as the model is informed of it. It contains no text of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The broken rule.
    pub code: ReasonCode,
    /// The fact that the claim is about; none if the claim names no fact of the sheet.
    pub path: Option<FieldPath>,
}

impl Objection {
    /// The objections to a rejected answer, without duplicates and at most [`Objection::MAX`].
    pub fn of(verdict: &Verdict, facts: &FactSheet) -> Vec<Self> {
        let mut objections: Vec<Self> = Vec::new();
        for breach in &verdict.reasons {
            let Some(claim) = &breach.claim else { continue };
            let path = FieldPath::parse(&claim.field_path).ok().filter(|path| facts.get(path).is_some());
            let objection = Self { code: breach.code, path };
            if objections.len() < Self::MAX && !objections.contains(&objection) {
                objections.push(objection);
            }
        }
        objections
    }

    /// The maximum number of objections in a request.
    pub const MAX: usize = 20;
}

/// The reason why there is no answer to check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct AnalysisError {
    /// The failure.
    pub failure: Failure,
    /// The cost of the failed call, and the unusable text if the service returned any. None if no call was
    /// made.
    pub spent: Option<Box<Analysis>>,
}

impl From<Failure> for AnalysisError {
    /// A failure without a call.
    fn from(failure: Failure) -> Self {
        Self { failure, spent: None }
    }
}

/// The usage of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_microusd: u64,
}

impl Analysis {
    /// Adds the cost and the time of an earlier call of the same attempt.
    #[must_use]
    pub fn after(mut self, tried: Option<&Self>) -> Self {
        if let Some(tried) = tried {
            self.usage.input_tokens += tried.usage.input_tokens;
            self.usage.output_tokens += tried.usage.output_tokens;
            self.usage.cost_microusd += tried.usage.cost_microusd;
            self.latency_ms = self.latency_ms.saturating_add(tried.latency_ms);
        }
        self
    }
}

impl fmt::Debug for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analysis")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("prompt_version", &self.prompt_version)
            .field("usage", &self.usage)
            .field("latency_ms", &self.latency_ms)
            .finish_non_exhaustive()
    }
}
