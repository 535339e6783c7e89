use std::collections::BTreeMap;
use std::fmt;

use grounding::FieldPath;
use lead::text::visible_lines;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Facts that an action carries because the mapping sends them to a field of the CRM.
///
/// A fact is a plain value (a text of at most [`Facts::MAX_CHARS`] characters, a number, a boolean) or a list
/// of at most [`Facts::MAX_MEMBERS`] plain values. Larger or nested values are not carried. An action carries
/// at most [`Facts::MAX`] facts. Its `Debug` shows only the paths.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<FieldPath, Value>", into = "BTreeMap<FieldPath, Value>")]
pub struct Facts(BTreeMap<FieldPath, Value>);

/// The reason that an action cannot carry these facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be at most {} plain values of at most {} characters", Facts::MAX, Facts::MAX_CHARS)]
pub struct FactsError;

impl Facts {
    /// The maximum number of facts of one action.
    pub const MAX: usize = 100;

    /// The maximum length of a text, in characters.
    pub const MAX_CHARS: usize = 4000;

    /// The maximum number of members of a list.
    pub const MAX_MEMBERS: usize = 100;

    /// Keeps the facts that fit, with hidden characters removed from texts, and drops the rest.
    pub fn fitting(facts: impl IntoIterator<Item = (FieldPath, Value)>) -> Self {
        let clean = facts.into_iter().map(|(path, value)| (path, without_hidden(value)));
        Self(clean.filter(|(_, value)| fits(value)).take(Self::MAX).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The facts in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldPath, &Value)> {
        self.0.iter()
    }
}

fn without_hidden(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible_lines(&text).into_owned()),
        Value::Array(members) => Value::Array(members.into_iter().map(without_hidden).collect()),
        other => other,
    }
}

fn fits(value: &Value) -> bool {
    let is_plain = |value: &Value| match value {
        Value::String(text) => !text.trim().is_empty() && text.chars().nth(Facts::MAX_CHARS).is_none(),
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    match value {
        Value::Array(members) => {
            !members.is_empty() && members.len() <= Facts::MAX_MEMBERS && members.iter().all(is_plain)
        }
        one => is_plain(one),
    }
}

impl TryFrom<BTreeMap<FieldPath, Value>> for Facts {
    type Error = FactsError;

    fn try_from(facts: BTreeMap<FieldPath, Value>) -> Result<Self, FactsError> {
        if facts.len() <= Self::MAX && facts.values().all(fits) { Ok(Self(facts)) } else { Err(FactsError) }
    }
}

impl From<Facts> for BTreeMap<FieldPath, Value> {
    fn from(facts: Facts) -> Self {
        facts.0
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(FieldPath::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap()
    }

    #[test]
    fn only_plain_values_are_carried() {
        let facts = [
            ("marketo.program", json!("Lau\u{202e}nch\u{e0041}")),
            ("marketo.score", json!(7)),
            ("enrichment.technologies", json!(["AWS", "Go"])),
            ("marketo.nothing", json!(null)),
            ("marketo.blank", json!(" ")),
            ("marketo.hidden", json!("\u{200b}")),
            ("marketo.deep", json!({"a": 1})),
            ("marketo.deeper", json!([[1]])),
            ("marketo.long", json!("x".repeat(4001))),
        ];
        let facts = Facts::fitting(facts.map(|(name, value)| (path(name), value)));
        let names: Vec<_> = facts.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(names, ["enrichment.technologies", "marketo.program", "marketo.score"]);
        assert_eq!(facts.0[&path("marketo.program")], "Launch");
        let read: Facts = serde_json::from_value(serde_json::to_value(&facts).unwrap()).unwrap();
        assert_eq!(read, facts);
        assert!(!format!("{facts:?}").contains("Launch"));
    }

    #[test]
    fn invalid_facts_are_refused_by_deserialization() {
        for wrong in
            [json!({"web.x": 1}), json!({"marketo.x": {"y": 1}}), json!({"marketo.x": null}), json!([])]
        {
            assert!(serde_json::from_value::<Facts>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
