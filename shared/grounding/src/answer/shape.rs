//! Finds the JSON object of an answer in the text of a model.

use serde_json::Deserializer;

use super::AnswerError;
use super::raw::{Object, RawAnswer};

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

fn problem(error: &serde_json::Error) -> AnswerError {
    let (line, column) = (error.line(), error.column());
    if error.is_data() { AnswerError::Shape { line, column } } else { AnswerError::NotJson { line, column } }
}
