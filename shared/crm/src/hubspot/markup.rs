//! Escaping of text for the properties that `HubSpot` renders as HTML.

use serde_json::{Map, Value};

/// The properties rendered as HTML: the bodies of notes and tasks.
const HTML_PROPERTIES: [&str; 2] = ["hs_note_body", "hs_task_body"];

/// Escapes a text as HTML and keeps its line breaks.
pub(super) fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>")
}

/// Escapes the HTML properties among the fields of a record.
pub(super) fn escaped(fields: Map<String, Value>) -> Map<String, Value> {
    let escaped = fields.into_iter().map(|(name, value)| match value {
        Value::String(text) if HTML_PROPERTIES.contains(&name.as_str()) => (name, Value::String(html(&text))),
        other => (name, other),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_of_a_lead_is_escaped_in_html_properties() {
        let fields = json!({"hs_note_body": "a <b>\n&amp;", "hs_task_subject": "a <b>"});
        let escaped = escaped(fields.as_object().unwrap().clone());
        assert_eq!(escaped["hs_note_body"], "a &lt;b&gt;<br>&amp;amp;");
        assert_eq!(escaped["hs_task_subject"], "a <b>");
    }
}
