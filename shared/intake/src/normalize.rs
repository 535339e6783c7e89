//! Normalization of text and values: hidden characters, HTML entities, absent values, unreplaced tokens, and
//! length limits.

use std::borrow::Cow;

use html_escape::decode_html_entities;
use lead::FieldIssue;
use lead::text::replace_hidden;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::limits::MAX_TEXT_CHARS;
use crate::path::Path;
use crate::reading::Reading;

/// Normalizes a text to one line: HTML entities are decoded once, the text is in NFC, every kind of white
/// space becomes a space, other hidden characters are removed, and it is trimmed. Returns `None` if the
/// result is empty or a placeholder for an absent value, such as `null`.
pub(crate) fn normalize_text(text: &str) -> Option<String> {
    let line = one_line(text);
    (!matches!(line.as_str(), "" | "null" | "NULL" | "undefined" | "[object Object]")).then_some(line)
}

/// [`normalize_text`] that keeps `NULL` and other placeholders.
pub(crate) fn one_line(text: &str) -> String {
    let decoded = decoded(text);
    let visible = replace_hidden(&decoded, |c| (c.is_whitespace() || c == '\u{2800}').then_some(' '));
    let line: String = visible.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).nfc().collect();
    line.trim().to_owned()
}

/// Decodes HTML entities once. References to the code points 128 to 159, such as `&#146;`, denote characters
/// of Windows-1252, as in browsers (HTML standard, 13.2.5.80, numeric character reference end state).
fn decoded(text: &str) -> Cow<'_, str> {
    const WINDOWS_1252: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let remap = |c: char| {
        let index = u32::from(c).checked_sub(0x80).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| WINDOWS_1252.get(index)).copied().unwrap_or(c)
    };
    match decode_html_entities(text) {
        Cow::Owned(decoded) if text.contains("&#") => Cow::Owned(decoded.chars().map(remap).collect()),
        decoded => decoded,
    }
}

/// Whether a text holds a `{{token}}` that the sender's template has not replaced, also percent-encoded.
/// Merge tags of Mailchimp (`*|FNAME|*`), of Salesforce's marketing products (`%%first_name%%`) and of script
/// templates (`${name}`) count only if they are the whole text: within a text they may be intended.
pub(crate) fn holds_token(text: &str) -> bool {
    let holds = |open, close| text.find(open).is_some_and(|start| text[start..].contains(close));
    let is = |open, close| {
        let name = text.trim().strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        name.is_some_and(|name| !name.is_empty())
    };
    holds("{{", "}}")
        || holds("%7B%7B", "%7D%7D")
        || holds("%7b%7b", "%7d%7d")
        || is("*|", "|*")
        || is("%%", "%%")
        || is("${", "}")
}

/// Cuts a text to at most `max` characters. Returns `None` if it fits.
pub(crate) fn cut(text: &str, max: usize) -> Option<String> {
    let (end, _) = text.char_indices().nth(max)?;
    Some(text[..end].trim_end().to_owned())
}

/// Whether a value is absent: nothing of it would be kept. Tokens count as present.
pub fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => normalize_text(text).is_none(),
        Value::Array(items) => items.iter().all(is_absent),
        Value::Object(object) => object.values().all(is_absent),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Normalizes the texts of a value and removes absent values, at every depth. Returns `None` if nothing
/// remains. A text with a token is dropped, and a text over the limit is cut, each with a note.
///
/// The recursion is bounded by [`crate::MAX_DEPTH`], which the parsers enforce.
pub(crate) fn normalize(value: Value, path: &Path<'_>, reading: &mut Reading) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => {
            let text = normalize_text(&text)?;
            if holds_token(&text) {
                reading.note(path, FieldIssue::UnreplacedToken);
                return None;
            }
            let shorter = cut(&text, MAX_TEXT_CHARS);
            if shorter.is_some() {
                reading.note(path, FieldIssue::Cut);
            }
            Some(Value::String(shorter.unwrap_or(text)))
        }
        Value::Array(items) => {
            let normalize_item =
                |(index, item): (usize, Value)| normalize(item, &Path::Item(path, index), reading);
            let items: Vec<_> = items.into_iter().enumerate().filter_map(normalize_item).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(object) => {
            let object = normalize_object(object, path, reading);
            (!object.is_empty()).then_some(Value::Object(object))
        }
        value @ (Value::Bool(_) | Value::Number(_)) => Some(value),
    }
}

/// Applies [`normalize`] to every member of an object.
pub(crate) fn normalize_object(
    object: Map<String, Value>,
    path: &Path<'_>,
    reading: &mut Reading,
) -> Map<String, Value> {
    let normalize_member = |(key, value): (String, Value)| {
        let value = normalize(value, &Path::Member(path, &key), reading)?;
        Some((key, value))
    };
    object.into_iter().filter_map(normalize_member).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalized(value: Value) -> (Option<Value>, Vec<String>) {
        let mut reading = Reading::new();
        let value = normalize(value, &Path::Field("marketo"), &mut reading);
        (
            value,
            reading.into_notes().into_iter().map(|note| format!("{} {}", note.field, note.issue)).collect(),
        )
    }

    #[test]
    fn absent_values_are_removed_at_every_depth() {
        let noisy =
            json!({"a": [null, "", " x "], "b": {"c": {"d": "NULL"}}, "e": [[], {}], "f": false, "g": 0});
        assert_eq!(normalized(noisy), (Some(json!({"a": ["x"], "f": false, "g": 0})), vec![]));
    }

    #[test]
    fn tokens_are_dropped_and_long_texts_cut() {
        let long = "x".repeat(MAX_TEXT_CHARS + 1);
        let (value, notes) =
            normalized(json!({"a": "{{ my.x }}", "b": ["{{lead.X:default=..}}", &long], "c": "{ {a}}"}));
        assert_eq!(value, Some(json!({"b": [&long[1..]], "c": "{ {a}}"})));
        assert_eq!(
            notes,
            ["marketo.a unreplaced_token", "marketo.b[0] unreplaced_token", "marketo.b[1] cut"]
        );
    }

    #[test]
    fn family_name_null_is_kept() {
        assert_eq!(normalize_text("Null").as_deref(), Some("Null"));
        assert_eq!(normalize_text(" null\n"), None);
        assert_eq!(normalize_text("undefined"), None);
        assert_eq!(normalize_text("Undefined Systems Ltd").as_deref(), Some("Undefined Systems Ltd"));
    }

    #[test]
    fn text_is_normalized_to_one_line() {
        for (text, line) in [
            ("\tAnn\nSmith\u{0}\u{1b}[31m\u{7f} ", "Ann Smith[31m"),
            ("O&#039;Brien", "O'Brien"),
            ("Company GmbH &#38; Co. KG", "Company GmbH & Co. KG"),
            ("A &amp;amp; B", "A &amp; B"),
            ("O&#146;Brien &#x80;", "O’Brien €"),
            ("Smith & Sons", "Smith & Sons"),
            ("?a=1&copy=2", "?a=1&copy=2"),
            ("Ann&nbsp;Lee&#8203;", "Ann Lee"),
            ("山田\u{3000}太郎", "山田 太郎"),
            ("Jose\u{301}", "Jos\u{e9}"),
            ("Fin\u{200b}tech\u{202e}", "Fintech"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
        ] {
            assert_eq!(normalize_text(text).as_deref(), Some(line), "{text:?}");
        }
        assert_eq!(normalize_text("\u{0}"), None);
        assert_eq!(normalize_text("\u{3000}\u{200b}"), None);
    }
}
