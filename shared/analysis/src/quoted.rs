use std::fmt::Write as _;

use lead::text::is_hidden;
use serde_json::Value;

/// JSON in which no text can close the surrounding tag, and no character is invisible or changes the
/// direction of the text. Such characters are escaped, which JSON allows for any character: the parsed value
/// is the same.
pub(crate) fn quoted(facts: &Value) -> String {
    let json = facts.to_string();
    let mut quoted = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '<' | '>' | '&') || is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(quoted, "\\u{unit:04x}");
            }
        } else {
            quoted.push(c);
        }
    }
    quoted
}
