//! Reads the body of a `generateContent` reply.

use http_client::Reply as HttpReply;
use serde::Deserialize;
use serde_json::Value;

use crate::service::{Outcome, Reply, Tokens};

/// Finish reasons of a filter. A retry does not help.
const BLOCKED_REASONS: [&str; 12] = [
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "ESCALATION",
    "JAILBREAK",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
];

/// Finish reasons of a failed generation. A retry may succeed.
const UNUSABLE_REASONS: [&str; 7] = [
    "OTHER",
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "CONTINUATION",
];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    candidates: Vec<Candidate>,
    prompt_feedback: Feedback,
    usage_metadata: Option<Usage>,
    model_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    content: Content,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Part>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    text: Option<String>,
    /// The text is a part of the model's reasoning, not of its answer.
    thought: bool,
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    #[serde(default)]
    args: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Feedback {
    block_reason: Option<String>,
}

/// The counts overlap: the prompt's count includes the cached tokens.
#[derive(Deserialize)]
struct Usage {
    /// Every question has tokens, so a missing count means that the usage is unknown.
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(default, rename = "cachedContentTokenCount")]
    cached: u64,
    #[serde(default, rename = "toolUsePromptTokenCount")]
    tool_use: u64,
    #[serde(default, rename = "candidatesTokenCount")]
    candidates: u64,
    #[serde(default, rename = "thoughtsTokenCount")]
    thoughts: u64,
}

/// Reads the body of a successful reply, which may hold any outcome.
pub(super) fn read(reply: &HttpReply) -> Reply {
    let Some(body) = reply.json::<Body>() else {
        let outcome = Outcome::Unusable("not a generateContent answer");
        return Reply { outcome, tokens: None, model: None };
    };
    let tokens = body.usage_metadata.as_ref().and_then(tokens);
    Reply { tokens, model: body.model_version.clone(), outcome: outcome(body) }
}

fn tokens(usage: &Usage) -> Option<Tokens> {
    Some(Tokens {
        input: usage.prompt?.saturating_sub(usage.cached) + usage.tool_use,
        cached: usage.cached,
        cache_write: 0,
        output: usage.candidates + usage.thoughts,
    })
}

fn outcome(body: Body) -> Outcome {
    let Some(candidate) = body.candidates.into_iter().next() else {
        return match body.prompt_feedback.block_reason {
            Some(reason) => Outcome::Blocked(known_reason(&BLOCKED_REASONS, &reason).unwrap_or("other")),
            None => Outcome::Unusable("no candidate"),
        };
    };
    let reason = candidate.finish_reason.unwrap_or_default();
    if reason == "MAX_TOKENS" {
        return Outcome::Truncated;
    }
    if let Some(blocked) = known_reason(&BLOCKED_REASONS, &reason) {
        return Outcome::Blocked(blocked);
    }
    if let Some(unusable) = known_reason(&UNUSABLE_REASONS, &reason) {
        return Outcome::Unusable(unusable);
    }
    // STOP, or a reason that is not known here: the text decides.
    let mut text = String::new();
    for part in candidate.content.parts.into_iter().filter(|part| !part.thought) {
        if let Some(call) = part.function_call {
            return Outcome::Text(call.args.to_string());
        }
        text.push_str(part.text.as_deref().unwrap_or_default());
    }
    if text.trim().is_empty() { Outcome::Unusable("no text") } else { Outcome::Text(text) }
}

fn known_reason(known: &[&'static str], reason: &str) -> Option<&'static str> {
    known.iter().find(|known| **known == reason).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome_of(body: Value) -> Outcome {
        outcome(serde_json::from_value(body).unwrap())
    }

    fn finished(reason: &str, parts: &Value) -> Outcome {
        outcome_of(json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": reason }] }))
    }

    #[test]
    fn text_is_returned_without_reasoning() {
        let parts = json!([{ "text": "hmm", "thought": true }, { "text": "{\"a\"" }, { "text": ":1}" }]);
        assert_eq!(finished("STOP", &parts), Outcome::Text("{\"a\":1}".into()));
        assert_eq!(finished("A_NEW_REASON", &parts), Outcome::Text("{\"a\":1}".into()));
        let thought = json!([{ "text": "hmm", "thought": true }]);
        assert_eq!(finished("STOP", &thought), Outcome::Unusable("no text"));
    }

    #[test]
    fn function_call_is_an_answer() {
        let parts = json!([{ "functionCall": { "name": "judge_lead", "args": { "fit_score": 1 } } }]);
        assert_eq!(finished("STOP", &parts), Outcome::Text("{\"fit_score\":1}".into()));
    }

    #[test]
    fn finish_reasons_are_classified() {
        let parts = json!([{ "text": "{" }]);
        for (reason, outcome) in [
            ("MAX_TOKENS", Outcome::Truncated),
            ("SPII", Outcome::Blocked("SPII")),
            ("SAFETY", Outcome::Blocked("SAFETY")),
            ("MALFORMED_RESPONSE", Outcome::Unusable("MALFORMED_RESPONSE")),
            ("OTHER", Outcome::Unusable("OTHER")),
        ] {
            assert_eq!(finished(reason, &parts), outcome);
        }
        let blocked = |reason: &str| outcome_of(json!({ "promptFeedback": { "blockReason": reason } }));
        assert_eq!(blocked("PROHIBITED_CONTENT"), Outcome::Blocked("PROHIBITED_CONTENT"));
        assert_eq!(blocked("A_NEW_REASON"), Outcome::Blocked("other"));
        assert_eq!(outcome_of(json!({})), Outcome::Unusable("no candidate"));
        assert_eq!(outcome_of(json!({ "candidates": [{}] })), Outcome::Unusable("no text"));
    }
}
