use async_trait::async_trait;
use lead::{Dependency, Failure};

use crate::codes;
use crate::prompt::Question;

/// An AI service, asked for one model. Knows the service's protocol, and nothing of leads.
#[async_trait]
pub trait Service: Send + Sync {
    /// The short stable name, such as `gemini`.
    fn provider(&self) -> &'static str;

    /// Asks once; no retries. Fails where the service gave no reply of the model: unreachable, refused, over quota.
    async fn ask(&self, question: &Question) -> Result<Reply, Failure>;

    /// A call of a few tokens, which shows that the key, the model and the quota are good.
    async fn probe(&self) -> Result<(), Failure>;

    /// The same, with whatever a judgement needs that may be slow for the first time.
    async fn try_out(&self) -> Result<(), Failure> {
        self.probe().await
    }
}

/// What came back, whether or not it can be used: it has cost its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it holds.
    pub outcome: Outcome,
    /// What it used; none where the service did not say.
    pub tokens: Option<Tokens>,
    /// The model that answered, where the service says so.
    pub model: Option<String>,
}

/// How the model came to an end. Words of the service that are not known do not get here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It said something to the end.
    Text(String),
    /// A filter of the service kept the answer back, or the question; the service's own word for why.
    Blocked(&'static str),
    /// It was cut off.
    Cut,
    /// Nothing usable came; why, in the service's word.
    Unusable(&'static str),
}

/// Tokens as they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read, at the full price.
    pub input: u64,
    /// Read from a cache.
    pub cached: u64,
    /// Read, and written to a cache.
    pub cache_write: u64,
    /// Written, those of hidden reasoning included.
    pub output: u64,
}

impl Tokens {
    /// All that were read.
    pub fn read(&self) -> u64 {
        self.input + self.cached + self.cache_write
    }
}

impl Outcome {
    /// The answer's text, or why there is none.
    pub(crate) fn into_text(self, dependency: &Dependency) -> Result<String, Failure> {
        let failure = match self {
            Self::Text(text) => return Ok(text),
            Self::Blocked(why) => {
                Failure::permanent(codes::BLOCKED, format!("{dependency} kept the answer back: {why}"))
            }
            Self::Cut => Failure::permanent(
                codes::ANSWER_CUT,
                format!("{dependency} did not come to an end within the tokens allowed"),
            ),
            Self::Unusable(why) => Failure::transient(
                codes::ANSWER_UNUSABLE,
                format!("{dependency} gave nothing that can be used: {why}"),
            ),
        };
        Err(failure.on(dependency.clone()))
    }
}
