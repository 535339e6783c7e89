use serde_json::{Map, Value};

use crate::limits::MAX_TEXT_CHARS;
use crate::rejection::Rejection;

/// A text on one line: trimmed, tabs and line breaks as spaces, other control characters removed. None where nothing
/// is left, or where it is a sender's way of writing nothing.
pub(crate) fn tidy_text(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .filter(|c| !c.is_control() || c.is_whitespace())
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.trim();
    (!matches!(line, "" | "null" | "NULL")).then(|| line.to_owned())
}

/// Whether [`tidy`] would leave nothing of a value.
pub(crate) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => tidy_text(text).is_none(),
        Value::Array(items) => items.iter().all(is_absent),
        Value::Object(object) => object.values().all(is_absent),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value with its texts tidied and what is absent left out, at every depth; none where nothing is left.
///
/// `field` is the top-level field it is in. Recursion is bounded by [`crate::MAX_DEPTH`], which the readers keep.
pub(crate) fn tidy(value: Value, field: &'static str) -> Result<Option<Value>, Rejection> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => match tidy_text(&text) {
            Some(text) if text.chars().count() > MAX_TEXT_CHARS => {
                return Err(Rejection::too_long(field, MAX_TEXT_CHARS));
            }
            text => text.map(Value::String),
        },
        Value::Array(items) => {
            let items: Vec<_> = items
                .into_iter()
                .filter_map(|item| tidy(item, field).transpose())
                .collect::<Result<_, _>>()?;
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(object) => {
            let object = tidy_object(object, field)?;
            (!object.is_empty()).then_some(Value::Object(object))
        }
        value @ (Value::Bool(_) | Value::Number(_)) => Some(value),
    })
}

/// [`tidy`] for every member of an object.
pub(crate) fn tidy_object(
    object: Map<String, Value>,
    field: &'static str,
) -> Result<Map<String, Value>, Rejection> {
    object
        .into_iter()
        .filter_map(|(key, value)| Some(tidy(value, field).transpose()?.map(|value| (key, value))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_values_are_left_out_at_every_depth() {
        let noisy =
            json!({"a": [null, "", " x "], "b": {"c": {"d": "NULL"}}, "e": [[], {}], "f": false, "g": 0});
        assert_eq!(tidy(noisy, "marketo").unwrap(), Some(json!({"a": ["x"], "f": false, "g": 0})));
    }

    #[test]
    fn a_family_named_null_keeps_its_name() {
        assert_eq!(tidy_text("Null").as_deref(), Some("Null"));
        assert_eq!(tidy_text(" null\n"), None);
    }

    #[test]
    fn text_is_put_on_one_line_without_control_characters() {
        assert_eq!(tidy_text("\tAnn\nSmith\u{0}\u{1b}[31m\u{7f} ").as_deref(), Some("Ann Smith[31m"));
        assert_eq!(tidy_text("\u{0}"), None);
    }
}
