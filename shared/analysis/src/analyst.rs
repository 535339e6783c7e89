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

    /// The model asked, as the service names it.
    fn model(&self) -> &str;

    /// Asks for a judgement. The answer is the provider's text, unchecked; its shape is [`grounding::Answer`].
    ///
    /// Fails when there is no answer to check: the service could not be reached, refused, or returned nothing that can be read.
    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, NoAnalysis>;

    /// Asks once more after an answer that the contract rejected, naming the claims that broke it. None where asking again
    /// cannot help: the same facts always give the same answer.
    ///
    /// Fails as [`analyse`](Self::analyse) does. The cost is that of this answer alone.
    async fn correct(
        &self,
        _facts: &FactSheet,
        _rejected: &Analysis,
        _objections: &[Objection],
    ) -> Result<Option<Analysis>, NoAnalysis> {
        Ok(None)
    }

    /// The outside systems that it asks, the preferred one first. None where it needs nobody.
    fn dependencies(&self) -> Vec<Dependency> {
        Vec::new()
    }

    /// Whether one of its [`dependencies`](Self::dependencies) can be used now. Costs nothing where that is known, and a call of a few tokens
    /// where a system that was away is due to be tried again.
    async fn probe(&self, _dependency: &Dependency) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether one of its [`dependencies`](Self::dependencies) does all that a judgement needs of it, asked whatever is believed of it.
    /// For whoever sets it up: it may take minutes.
    async fn try_out(&self, dependency: &Dependency) -> Result<(), Failure> {
        self.probe(dependency).await
    }
}

/// One answer of an analyst and what it cost. Stored as it is.
///
/// Its `Debug` leaves out the answer, which may repeat anything.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// [`Analyst::provider`].
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// The prompt it was asked by; none where it was not asked in words.
    #[serde(default)]
    pub prompt_version: Option<String>,
    /// JSON text, as the provider returned it.
    pub raw_answer: String,
    /// What it used.
    pub usage: Usage,
    /// From the request to the whole answer, in milliseconds; 0 where nothing was waited for.
    pub latency_ms: u64,
}

/// One rule that a rejected answer broke: what a model is told of it. It repeats nothing that the model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Which rule.
    pub code: ReasonCode,
    /// The fact that the claim is about; none where it names no fact of the sheet.
    pub path: Option<FieldPath>,
}

impl Objection {
    /// The objections to a rejected answer, each once and at most [`Objection::MAX`].
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

    /// The most that a model is told of.
    pub const MAX: usize = 20;
}

/// Why there is no answer to check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct NoAnalysis {
    /// What went wrong.
    pub failure: Failure,
    /// What asking has cost all the same, and what came instead of an answer, where anything did. None where nobody was asked.
    pub spent: Option<Box<Analysis>>,
}

impl From<Failure> for NoAnalysis {
    /// Nobody was asked.
    fn from(failure: Failure) -> Self {
        Self { failure, spent: None }
    }
}

/// What an answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written, those of hidden reasoning included.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_microusd: u64,
}

impl Analysis {
    /// The same, with the cost and the time of what was asked before it in the same attempt.
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
