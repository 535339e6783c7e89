//! Finds the JSON object of an answer in the text of a model.

use serde::Deserialize;
use serde_json::Deserializer;

use super::AnswerError;
use super::raw::{Object, RawAnswer, RawAnswerBefore4};

/// Parses the only object of a text. Surrounding text is ignored unless it contains a bracket, which could
/// belong to a second answer or to a list around the first.
pub(super) fn read(raw: &str) -> Result<RawAnswer, AnswerError> {
    let text = raw.trim_start_matches('\u{feff}').trim();
    let (before, rest) = text.split_at(text.find('{').unwrap_or_default());
    let mut objects = Deserializer::from_str(rest).into_iter::<Object<RawAnswer>>();
    let Object(answer) = match objects.next() {
        Some(read) => read.map_err(|error| problem(&error))?,
        None => return Err(AnswerError::NotJson { line: 1, column: 1 }),
    };
    let after = &rest[objects.byte_offset()..];
    if [before, after].iter().any(|around| around.contains(['{', '}', '[', ']'])) {
        return Err(AnswerError::NotJson { line: 1, column: before.chars().count() + 1 });
    }
    Ok(answer)
}

/// Parses an answer under the versions before 4, which allow only a Markdown fence around it.
pub(super) fn read_before_4(raw: &str) -> Result<RawAnswer, AnswerError> {
    let mut json = Deserializer::from_str(without_fence(raw.trim()));
    let answer = RawAnswerBefore4::deserialize(&mut json).and_then(|answer| json.end().map(|()| answer));
    answer.map(RawAnswer::from).map_err(|error| problem(&error))
}

fn problem(error: &serde_json::Error) -> AnswerError {
    let (line, column) = (error.line(), error.column());
    if error.is_data() { AnswerError::Shape { line, column } } else { AnswerError::NotJson { line, column } }
}

/// Removes a fence of three backticks, with or without the word json, if it surrounds the whole text.
fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else { return text };
    match inner.split_once('\n') {
        Some((label, body)) if matches!(label.trim(), "" | "json" | "JSON") => body,
        _ => text,
    }
}
