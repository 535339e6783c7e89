mod raw;
mod shape;

use std::fmt;

use lead::{Decision, FitScore, Intent};
use serde_json::Value;

use self::raw::{Object, RawClaim};
use crate::Claim;

/// The answer of a model, parsed but not checked.
///
/// Its `Debug` omits the prose.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// The fit of the company, in the model's judgement.
    pub fit_score: FitScore,
    /// The readiness of the person, in the model's judgement.
    pub intent: Intent,
    /// The decision that the model proposes.
    pub decision: Decision,
    /// The model's prose. Stored as an explanation, never acted on, never sent to the CRM.
    pub reasoning: String,
    /// The claims that the model cites as evidence.
    pub evidence: Vec<Claim>,
}

/// The reason why a text is not an answer. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Longer than [`Answer::MAX_BYTES`].
    #[error("answer is longer than {} bytes", Answer::MAX_BYTES)]
    TooLong,
    /// Not one JSON value, or surrounded by text with brackets.
    #[error("answer is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Not an object, or with a repeated field.
    #[error("answer has a repeated field, or is not an object (line {line}, column {column})")]
    Shape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A missing field.
    #[error("answer has no {0}")]
    Missing(&'static str),
    /// A field with an invalid value.
    #[error("answer has an unusable {0}")]
    Invalid(&'static str),
}

impl Answer {
    /// The maximum size of an answer, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;
    /// The maximum number of claims.
    pub const MAX_CLAIMS: usize = 50;
    /// The maximum length of the reasoning, in characters.
    pub const MAX_REASONING_CHARS: usize = 4_000;
    /// The maximum length of a claim's source, path or type, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The maximum size of a claimed value, in bytes of its JSON.
    pub const MAX_VALUE_BYTES: usize = 4_096;

    /// Parses a model's answer: all required fields, each once, within the limits above.
    ///
    /// The answer and each claim are JSON objects. A byte order mark, prose without brackets around the
    /// object, a Markdown fence and unknown fields are ignored, and the words of the vocabulary may be in any
    /// case.
    ///
    /// # Errors
    ///
    /// The first problem. It repeats nothing of the text.
    pub fn parse(raw: &str) -> Result<Self, AnswerError> {
        if raw.len() > Self::MAX_BYTES {
            return Err(AnswerError::TooLong);
        }
        let answer = shape::read(raw)?;
        let claims = required(answer.evidence, "evidence")?;
        if claims.len() > Self::MAX_CLAIMS {
            return Err(AnswerError::Invalid("evidence"));
        }
        Ok(Self {
            fit_score: whole_number(&required(answer.fit_score, "fit_score")?)
                .and_then(FitScore::new)
                .ok_or(AnswerError::Invalid("fit_score"))?,
            intent: word(answer.intent, "intent", Intent::parse)?,
            decision: word(answer.decision, "decision", Decision::parse)?,
            reasoning: text(answer.reasoning, "reasoning", |text| {
                text.chars().count() <= Self::MAX_REASONING_CHARS
            })?,
            evidence: claims.into_iter().map(|Object(raw)| claim(raw)).collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("fit_score", &self.fit_score)
            .field("intent", &self.intent)
            .field("decision", &self.decision)
            .field("evidence", &self.evidence)
            .finish_non_exhaustive()
    }
}

fn claim(raw: RawClaim) -> Result<Claim, AnswerError> {
    let short = |text: &str| text.len() <= Answer::MAX_NAME_BYTES;
    let value = required(raw.value, "evidence.value")?;
    if value.to_string().len() > Answer::MAX_VALUE_BYTES {
        return Err(AnswerError::Invalid("evidence.value"));
    }
    Ok(Claim {
        source: text(raw.source, "evidence.source", short)?,
        field_path: text(raw.field_path, "evidence.field_path", short)?,
        value,
        claim_type: text(raw.claim_type, "evidence.claim_type", short)?,
    })
}

/// Parses a word of the vocabulary in any case; the vocabulary is in upper case.
fn word<T>(
    field: Option<Value>,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, AnswerError> {
    let word = required(field, name)?;
    let word = word.as_str().ok_or(AnswerError::Invalid(name))?;
    parse(&word.to_ascii_uppercase()).ok_or(AnswerError::Invalid(name))
}

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, AnswerError> {
    field.ok_or(AnswerError::Missing(name))
}

fn text(
    field: Option<Value>,
    name: &'static str,
    allowed: impl Fn(&str) -> bool,
) -> Result<String, AnswerError> {
    match required(field, name)? {
        Value::String(text) if allowed(&text) => Ok(text),
        _ => Err(AnswerError::Invalid(name)),
    }
}

/// An integer, also in the notation `85.0`.
fn whole_number(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers between 0 and 100 get there")]
    let from_float =
        |number: f64| (number.fract() == 0.0 && (0.0..=100.0).contains(&number)).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(from_float))
}

#[cfg(test)]
mod tests;
