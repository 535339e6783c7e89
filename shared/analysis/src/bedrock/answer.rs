//! Reads the output of the `Converse` API.

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::types::{ContentBlock, StopReason, TokenUsage};

use super::document;
use crate::service::{Outcome, Reply, Tokens};

/// Reads the output of a successful call, which may hold any outcome.
pub(super) fn read(output: ConverseOutput) -> Reply {
    let tokens = output.usage().map(tokens);
    // Bedrock does not report the model: it is always the requested one.
    Reply { outcome: outcome(output), tokens, model: None }
}

/// The counts do not overlap, unlike Gemini's.
fn tokens(usage: &TokenUsage) -> Tokens {
    let count = |count: i32| u64::try_from(count).unwrap_or_default();
    Tokens {
        input: count(usage.input_tokens),
        cached: count(usage.cache_read_input_tokens.unwrap_or_default()),
        cache_write: count(usage.cache_write_input_tokens.unwrap_or_default()),
        output: count(usage.output_tokens),
    }
}

fn outcome(output: ConverseOutput) -> Outcome {
    match output.stop_reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => return Outcome::Truncated,
        StopReason::ContentFiltered => return Outcome::Blocked("content_filtered"),
        StopReason::GuardrailIntervened => return Outcome::Blocked("guardrail_intervened"),
        StopReason::MalformedModelOutput => return Outcome::Unusable("malformed_model_output"),
        StopReason::MalformedToolUse => return Outcome::Unusable("malformed_tool_use"),
        // The regular end, or a reason that is not known here: the text decides.
        _ => {}
    }
    let message = output.output.and_then(|output| output.as_message().ok().cloned());
    let mut text = String::new();
    for block in message.map(|message| message.content).unwrap_or_default() {
        match block {
            ContentBlock::ToolUse(tool) => return Outcome::Text(document::to_json(tool.input).to_string()),
            ContentBlock::Text(part) => text.push_str(&part),
            // Reasoning, and content that was not requested.
            _ => {}
        }
    }
    if text.trim().is_empty() { Outcome::Unusable("no text") } else { Outcome::Text(text) }
}
