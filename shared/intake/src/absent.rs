use std::borrow::Cow;

use html_escape::decode_html_entities;
use lead::FieldIssue;
use lead::text::replace_hidden;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::limits::MAX_TEXT_CHARS;
use crate::path::Path;
use crate::reading::Reading;

/// A text on one line, as a person would read it: HTML entities decoded once, one Unicode form (NFC), every kind of blank
/// and line break as a blank, other hidden characters removed, trimmed. None where nothing is left, or where it is a
/// sender's way of writing nothing.
pub(crate) fn tidy_text(text: &str) -> Option<String> {
    let line = one_line(text);
    (!matches!(line.as_str(), "" | "null" | "NULL" | "undefined" | "[object Object]")).then_some(line)
}

/// [`tidy_text`] for a text that may be `NULL`.
pub(crate) fn one_line(text: &str) -> String {
    let decoded = decoded(text);
    let visible = replace_hidden(&decoded, |c| (c.is_whitespace() || c == '\u{2800}').then_some(' '));
    let line: String = visible.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).nfc().collect();
    line.trim().to_owned()
}

/// A text with its HTML entities decoded once. `&#146;` and its like mean the characters of Windows-1252, as in browsers
/// (HTML standard, 13.2.5.80, numeric character reference end state).
fn decoded(text: &str) -> Cow<'_, str> {
    const WINDOWS_1252: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let meant = |c: char| {
        let index = u32::from(c).checked_sub(0x80).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| WINDOWS_1252.get(index)).copied().unwrap_or(c)
    };
    match decode_html_entities(text) {
        Cow::Owned(decoded) if text.contains("&#") => Cow::Owned(decoded.chars().map(meant).collect()),
        decoded => decoded,
    }
}

/// Whether a text holds a `{{token}}`, which a sender's template should have replaced; percent-encoded, too. Or whether it is,
/// as a whole, a merge tag of Mailchimp (`*|FNAME|*`), of Salesforce's marketing products (`%%first_name%%`) or of a script's
/// template (`${name}`): within a text these may be meant.
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

/// Cuts a text to so many characters; none where it fits.
pub(crate) fn cut(text: &str, max: usize) -> Option<String> {
    let (end, _) = text.char_indices().nth(max)?;
    Some(text[..end].trim_end().to_owned())
}

/// Whether [`tidy`] would leave nothing of a value, even without its tokens.
pub(crate) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => tidy_text(text).is_none(),
        Value::Array(items) => items.iter().all(is_absent),
        Value::Object(object) => object.values().all(is_absent),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value with its texts tidied and what is absent left out, at every depth; none where nothing is left. A token is
/// dropped and a text that is too long is cut, with a note.
///
/// Recursion is bounded by [`crate::MAX_DEPTH`], which the readers keep.
pub(crate) fn tidy(value: Value, path: &Path<'_>, reading: &mut Reading) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => {
            let text = tidy_text(&text)?;
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
            let tidy_item = |(index, item): (usize, Value)| tidy(item, &Path::Item(path, index), reading);
            let items: Vec<_> = items.into_iter().enumerate().filter_map(tidy_item).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(object) => {
            let object = tidy_object(object, path, reading);
            (!object.is_empty()).then_some(Value::Object(object))
        }
        value @ (Value::Bool(_) | Value::Number(_)) => Some(value),
    }
}

/// [`tidy`] for every member of an object.
pub(crate) fn tidy_object(
    object: Map<String, Value>,
    path: &Path<'_>,
    reading: &mut Reading,
) -> Map<String, Value> {
    let tidy_member = |(key, value): (String, Value)| {
        let value = tidy(value, &Path::Member(path, &key), reading)?;
        Some((key, value))
    };
    object.into_iter().filter_map(tidy_member).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tidied(value: Value) -> (Option<Value>, Vec<String>) {
        let mut reading = Reading::new();
        let value = tidy(value, &Path::Field("marketo"), &mut reading);
        (
            value,
            reading.into_notes().into_iter().map(|note| format!("{} {}", note.field, note.issue)).collect(),
        )
    }

    #[test]
    fn absent_values_are_left_out_at_every_depth() {
        let noisy =
            json!({"a": [null, "", " x "], "b": {"c": {"d": "NULL"}}, "e": [[], {}], "f": false, "g": 0});
        assert_eq!(tidied(noisy), (Some(json!({"a": ["x"], "f": false, "g": 0})), vec![]));
    }

    #[test]
    fn tokens_are_dropped_and_long_texts_cut() {
        let long = "x".repeat(MAX_TEXT_CHARS + 1);
        let (value, notes) =
            tidied(json!({"a": "{{ my.x }}", "b": ["{{lead.X:default=..}}", &long], "c": "{ {a}}"}));
        assert_eq!(value, Some(json!({"b": [&long[1..]], "c": "{ {a}}"})));
        assert_eq!(
            notes,
            ["marketo.a unreplaced_token", "marketo.b[0] unreplaced_token", "marketo.b[1] cut"]
        );
    }

    #[test]
    fn a_family_named_null_keeps_its_name() {
        assert_eq!(tidy_text("Null").as_deref(), Some("Null"));
        assert_eq!(tidy_text(" null\n"), None);
        assert_eq!(tidy_text("undefined"), None);
        assert_eq!(tidy_text("Undefined Systems Ltd").as_deref(), Some("Undefined Systems Ltd"));
    }

    #[test]
    fn a_text_is_put_on_one_line_as_it_is_read() {
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
            assert_eq!(tidy_text(text).as_deref(), Some(line), "{text:?}");
        }
        assert_eq!(tidy_text("\u{0}"), None);
        assert_eq!(tidy_text("\u{3000}\u{200b}"), None);
    }
}
