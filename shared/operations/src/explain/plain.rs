//! Makes outside text safe for a terminal.

use lead::text::visible;
use serde_json::Value;

/// The longest value that is shown, in characters.
pub(super) const MAX_VALUE_CHARS: usize = 160;

/// One line of visible text, cut to a length: no line break, no escape sequence, no directional override.
pub(super) fn line(text: &str, max_chars: usize) -> String {
    let text = visible(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A value on one line. Text has quotation marks, so that it cannot pass for our own.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", line(text, MAX_VALUE_CHARS).replace('"', "'")),
        Value::Array(members) => {
            let members: Vec<_> = members.iter().map(self::value).collect();
            line(&members.join(", "), MAX_VALUE_CHARS)
        }
        other => line(&other.to_string(), MAX_VALUE_CHARS),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outside_text_stays_on_its_line_and_in_its_quotes() {
        assert_eq!(value(&json!("a\x1b[31m\r\n\u{202e}b\" is \"c")), "\"a [31m b' is 'c\"");
        assert_eq!(value(&json!(["x\ny", 3, true])), "\"x y\", 3, true");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(line("ééé", 2), "éé…");
        assert_eq!(line("éé", 2), "éé");
    }
}
