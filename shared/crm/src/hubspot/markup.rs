//! Texts for the properties that `HubSpot` shows as HTML.

use serde_json::{Map, Value};

/// The bodies of notes and tasks.
const SHOWN_AS_HTML: [&str; 2] = ["hs_note_body", "hs_task_body"];

/// A text as HTML that shows it as it is: nothing in it is markup, and lines stay lines.
pub(super) fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>")
}

/// The fields of a note or a task, as they are sent.
pub(super) fn as_sent(fields: Map<String, Value>) -> Map<String, Value> {
    let sent = fields.into_iter().map(|(name, value)| match value {
        Value::String(text) if SHOWN_AS_HTML.contains(&name.as_str()) => (name, Value::String(html(&text))),
        other => (name, other),
    });
    sent.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_lead_says_is_never_markup() {
        let fields = json!({"hs_note_body": "a <b>\n&amp;", "hs_task_subject": "a <b>"});
        let sent = as_sent(fields.as_object().unwrap().clone());
        assert_eq!(sent["hs_note_body"], "a &lt;b&gt;<br>&amp;amp;");
        assert_eq!(sent["hs_task_subject"], "a <b>");
    }
}
