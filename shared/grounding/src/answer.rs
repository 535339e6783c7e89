use std::fmt;

use lead::{Decision, FitScore, Intent};
use serde::Deserialize;
use serde_json::Value;

use crate::Claim;

/// What the model answered, in the agreed shape. Nothing in it is believed yet.
///
/// Its `Debug` leaves out the prose.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// How well the company matches, as the model sees it.
    pub fit_score: FitScore,
    /// How ready the person is, as the model sees it.
    pub intent: Intent,
    /// What the model would do.
    pub decision: Decision,
    /// The model's prose: stored for people who ask why, never acted on, never sent to the CRM.
    pub reasoning: String,
    /// What it says it rests on.
    pub evidence: Vec<Claim>,
}

/// Why a text is not an answer. Repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Longer than [`Answer::MAX_BYTES`].
    #[error("answer is longer than {} bytes", Answer::MAX_BYTES)]
    TooLong,
    /// Not one JSON value, or something stands around it.
    #[error("answer is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Not an object, or with a field that is unknown or stands twice.
    #[error("answer has an unknown or repeated field, or is not an object (line {line}, column {column})")]
    Shape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A field is not there.
    #[error("answer has no {0}")]
    Missing(&'static str),
    /// A field holds something that it must not.
    #[error("answer has an unusable {0}")]
    Invalid(&'static str),
}

impl Answer {
    /// The longest answer read, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;
    /// The most claims in an answer.
    pub const MAX_CLAIMS: usize = 50;
    /// The longest reasoning, in characters.
    pub const MAX_REASONING_CHARS: usize = 4_000;
    /// The longest text in a claim's source, path or type, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The longest value of a claim, in bytes of its JSON.
    pub const MAX_VALUE_BYTES: usize = 4_096;

    /// Reads a model's answer strictly: the agreed fields, all of them, once, and no others, within the bounds above.
    ///
    /// A Markdown fence around the whole is taken off, since models add it against all instruction. Prose around the
    /// JSON is not: a model that does not keep to the shape has not understood the task.
    pub fn parse(raw: &str) -> Result<Self, AnswerError> {
        if raw.len() > Self::MAX_BYTES {
            return Err(AnswerError::TooLong);
        }
        let answer: RawAnswer = serde_json::from_str(without_fence(raw.trim())).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            if error.is_data() {
                AnswerError::Shape { line, column }
            } else {
                AnswerError::NotJson { line, column }
            }
        })?;
        let claims = required(answer.evidence, "evidence")?;
        if claims.len() > Self::MAX_CLAIMS {
            return Err(AnswerError::Invalid("evidence"));
        }
        Ok(Self {
            fit_score: whole_number(&required(answer.fit_score, "fit_score")?)
                .and_then(FitScore::new)
                .ok_or(AnswerError::Invalid("fit_score"))?,
            intent: required(answer.intent, "intent")?
                .as_str()
                .and_then(Intent::parse)
                .ok_or(AnswerError::Invalid("intent"))?,
            decision: required(answer.decision, "decision")?
                .as_str()
                .and_then(Decision::parse)
                .ok_or(AnswerError::Invalid("decision"))?,
            reasoning: text(answer.reasoning, "reasoning", |text| {
                text.chars().count() <= Self::MAX_REASONING_CHARS
            })?,
            evidence: claims.into_iter().map(claim).collect::<Result<_, _>>()?,
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

/// An answer of which only the field names are known to be right, so that an error can name the field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    #[serde(default, deserialize_with = "present")]
    fit_score: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    intent: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    decision: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    reasoning: Option<Value>,
    evidence: Option<Vec<RawClaim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaim {
    #[serde(default, deserialize_with = "present")]
    source: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    field_path: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    claim_type: Option<Value>,
}

/// Tells a field that is null from one that is not there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
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

/// An integer, also where it is written `85.0`.
fn whole_number(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers between 0 and 100 get there")]
    let from_float =
        |number: f64| (number.fract() == 0.0 && (0.0..=100.0).contains(&number)).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(from_float))
}

/// Takes a fence of three back-ticks, with or without the word json, off a text that it surrounds wholly.
fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else { return text };
    match inner.split_once('\n') {
        Some((label, body)) if matches!(label.trim(), "" | "json" | "JSON") => body,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "fit_score": 85, "intent": "HIGH", "decision": "ROUTE_TO_SDR", "reasoning": "because",
            "evidence": [{"source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Fintech",
                          "claim_type": "FIRMOGRAPHIC"}],
        })
    }

    fn with(pointer: &str, value: Value) -> Result<Answer, AnswerError> {
        let mut answer = good();
        *answer.pointer_mut(pointer).unwrap() = value;
        Answer::parse(&answer.to_string())
    }

    #[test]
    fn an_answer_in_the_agreed_shape_is_read() {
        let answer = Answer::parse(&good().to_string()).unwrap();
        assert_eq!((answer.fit_score.get(), answer.intent), (85, Intent::High));
        assert_eq!(answer.evidence[0].value, json!("Fintech"));
    }

    #[test]
    fn a_fence_around_the_whole_is_taken_off() {
        let json = good().to_string();
        for fenced in [format!("```json\n{json}\n```"), format!(" \n```\n{json}```\n"), format!("\n{json} ")]
        {
            assert!(Answer::parse(&fenced).is_ok(), "{fenced}");
        }
        for prose in [
            format!("Here you are:\n```json\n{json}\n```"),
            format!("```json\n{json}\n``` Done."),
            format!("```python\n{json}\n```"),
            format!("{json} {json}"),
            format!("{json}\nDone."),
            String::new(),
            "``````".to_owned(),
            "```".to_owned(),
        ] {
            assert!(matches!(Answer::parse(&prose), Err(AnswerError::NotJson { .. })), "{prose}");
        }
    }

    #[test]
    fn every_field_must_be_there_once_and_no_other() {
        for field in ["fit_score", "intent", "decision", "reasoning", "evidence"] {
            let mut answer = good();
            answer.as_object_mut().unwrap().remove(field);
            assert_eq!(Answer::parse(&answer.to_string()), Err(AnswerError::Missing(field)));
        }
        for field in ["source", "field_path", "value", "claim_type"] {
            let mut answer = good();
            answer["evidence"][0].as_object_mut().unwrap().remove(field);
            assert!(matches!(Answer::parse(&answer.to_string()), Err(AnswerError::Missing(_))), "{field}");
        }
        let json = good().to_string();
        let twice = json.replacen('{', r#"{"fit_score":1,"#, 1);
        let unknown = json.replacen('{', r#"{"fit":"HIGH","#, 1);
        for wrong in [twice.as_str(), unknown.as_str(), "[]", "null", "7"] {
            assert!(matches!(Answer::parse(wrong), Err(AnswerError::Shape { .. })), "{wrong}");
        }
        assert!(matches!(with("/evidence/0", json!({"note": 1})), Err(AnswerError::Shape { .. })));
    }

    #[test]
    fn the_score_is_a_whole_number_from_0_to_100() {
        for score in [json!(0), json!(100), json!(85.0)] {
            assert!(with("/fit_score", score.clone()).is_ok(), "{score}");
        }
        for score in [json!(-1), json!(101), json!(85.5), json!(1e300), json!("85"), json!(null), json!(true)]
        {
            assert_eq!(with("/fit_score", score.clone()), Err(AnswerError::Invalid("fit_score")), "{score}");
        }
    }

    #[test]
    fn words_outside_the_vocabulary_are_refused() {
        assert_eq!(with("/intent", json!("high")), Err(AnswerError::Invalid("intent")));
        assert_eq!(with("/intent", json!(null)), Err(AnswerError::Invalid("intent")));
        assert_eq!(with("/decision", json!("CALL_NOW")), Err(AnswerError::Invalid("decision")));
        assert_eq!(with("/reasoning", json!(["x"])), Err(AnswerError::Invalid("reasoning")));
        assert_eq!(with("/evidence/0/source", json!(1)), Err(AnswerError::Invalid("evidence.source")));
    }

    #[test]
    fn every_part_is_bounded() {
        let claim = good()["evidence"][0].clone();
        assert!(with("/evidence", json!(vec![claim.clone(); 50])).is_ok());
        assert_eq!(with("/evidence", json!(vec![claim; 51])), Err(AnswerError::Invalid("evidence")));
        assert!(with("/reasoning", json!("é".repeat(4000))).is_ok());
        assert_eq!(with("/reasoning", json!("x".repeat(4001))), Err(AnswerError::Invalid("reasoning")));
        assert!(with("/evidence/0/value", json!("x".repeat(4094))).is_ok());
        assert!(with("/evidence/0/value", json!("x".repeat(4095))).is_err());
        assert!(with("/evidence/0/field_path", json!("x".repeat(257))).is_err());
        assert_eq!(Answer::parse(&" ".repeat(Answer::MAX_BYTES + 1)), Err(AnswerError::TooLong));
    }

    #[test]
    fn neither_debug_output_nor_errors_repeat_the_model() {
        let mut answer = good();
        answer["reasoning"] = json!("Ann Smith called");
        let debug = format!("{:?}", Answer::parse(&answer.to_string()).unwrap());
        assert!(!debug.contains("Ann") && !debug.contains("Fintech"), "{debug}");
        let unknown = Answer::parse(r#"{"Ann Smith": 1}"#).unwrap_err().to_string();
        assert!(!unknown.contains("Ann"), "{unknown}");
    }
}
