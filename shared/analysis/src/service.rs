use async_trait::async_trait;
use lead::{Dependency, Failure};

use crate::codes;
use crate::prompt::Question;

/// A client of an AI service for one model. It knows the protocol of the service and nothing of leads.
#[async_trait]
pub trait Service: Send + Sync {
    /// The short stable name of the service, such as `gemini`.
    fn provider(&self) -> &'static str;

    /// Sends one question, without retries. Fails if the service returns no reply of the model: unreachable,
    /// refused, over quota.
    async fn ask(&self, question: &Question) -> Result<Reply, Failure>;

    /// Verifies the key, the model and the quota with a call of a few tokens.
    async fn probe(&self) -> Result<(), Failure>;

    /// Same as [`probe`](Self::probe), and includes the steps of a judgement that may be slow on first use.
    async fn self_test(&self) -> Result<(), Failure> {
        self.probe().await
    }
}

/// A reply of a model, usable or not. Its tokens are charged in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The content.
    pub outcome: Outcome,
    /// The usage; none if the service does not report it.
    pub tokens: Option<Tokens>,
    /// The model that answered, if the service reports it.
    pub model: Option<String>,
}

/// How the generation ended. Only reasons that are known here are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete text.
    Text(String),
    /// A filter of the service blocked the question or the answer; with the reason of the service.
    Blocked(&'static str),
    /// The answer was truncated at the token limit.
    Truncated,
    /// No usable content; with the reason of the service.
    Unusable(&'static str),
}

/// Tokens by the way they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input tokens at the full price.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cached: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
}

impl Tokens {
    /// All input tokens.
    pub fn read(&self) -> u64 {
        self.input + self.cached + self.cache_write
    }
}

impl Outcome {
    /// The text of the answer, or the failure that explains its absence.
    pub(crate) fn into_text(self, dependency: &Dependency) -> Result<String, Failure> {
        let failure = match self {
            Self::Text(text) => return Ok(text),
            Self::Blocked(reason) => {
                Failure::permanent(codes::BLOCKED, format!("{dependency} blocked the answer: {reason}"))
            }
            Self::Truncated => Failure::permanent(
                codes::ANSWER_TRUNCATED,
                format!("{dependency} truncated the answer: token limit reached"),
            ),
            Self::Unusable(reason) => Failure::transient(
                codes::ANSWER_UNUSABLE,
                format!("{dependency} returned no usable answer: {reason}"),
            ),
        };
        Err(failure.on(dependency.clone()))
    }
}
