use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::adopted::Adopted;
use super::source::{SCORE, Source};

/// The condition for writing a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Write whenever the value changes.
    #[default]
    Always,
    /// Write only if the field is empty in the CRM.
    IfEmpty,
    /// Write only on a record that we create.
    NeverOverwrite,
}

/// A rule: the source of a value and the field to write it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) source: Source,
    pub(super) field: String,
    pub(super) write: Write,
    pub(super) adopted: Adopted,
    pub(super) default: Option<String>,
    pub(super) values: BTreeMap<String, String>,
    pub(super) order: Vec<Step>,
}

/// One step of an `order`: a word, or several words of equal rank.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// A word.
    One(String),
    /// Words that may replace each other in any order.
    Any(Vec<String>),
}

impl Step {
    pub(super) fn has(&self, word: &str) -> bool {
        match self {
            Self::One(known) => known == word,
            Self::Any(known) => known.iter().any(|known| known == word),
        }
    }
}

/// A sample value of a rule, to check a field's schema with.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The value.
    pub value: Value,
    /// Whether the rule sends exactly this value. Otherwise the value only represents its type.
    pub is_sent: bool,
}

impl Rule {
    /// The CRM's name of the field.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The condition for writing the field.
    pub fn write(&self) -> Write {
        self.write
    }

    /// The behaviour on a record that we did not create.
    pub fn adopted(&self) -> Adopted {
        self.adopted
    }

    /// Whether the rule sends the score.
    pub(crate) fn is_score(&self) -> bool {
        self.source == Source::Own(SCORE)
    }

    /// Whether the rule sends a judgement of the lead, or a value derived from one.
    pub(crate) fn is_judgement(&self) -> bool {
        self.source.is_judgement()
    }

    /// The value of a new record if we have none, or none that the CRM accepts.
    pub fn default(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// Whether the value must be left out rather than cut, because a part of it would be a different value:
    /// addresses, telephone numbers, ids, constants. Facts can hold anything; they count if they are an
    /// e-mail address or a link.
    pub(crate) fn is_never_cut(&self, value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        match &self.source {
            Source::Own(name) => {
                let key = name.split_once('.').map_or(*name, |(_, key)| key);
                matches!(key, "email" | "phone" | "domain" | "owner" | "campaign_id")
            }
            Source::Fact(_) => {
                lead::EmailAddress::parse(text).is_ok()
                    || text.starts_with("https://")
                    || text.starts_with("http://")
            }
            Source::Constant(_) => true,
        }
    }

    /// The source, as the mapping writes it.
    pub fn origin(&self) -> &str {
        self.source.as_str()
    }

    /// Translates a value by `values`. None for a word without a translation.
    pub(super) fn translate(&self, value: &Value) -> Option<Value> {
        if self.values.is_empty() {
            return Some(value.clone());
        }
        let word = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.values.get(&word).map(|text| Value::String(text.clone()))
    }

    /// Whether writing would move the CRM's value back in the `order`: it is later than the new one, or
    /// either is not part of the order.
    pub fn moves_back(&self, old: &Value, new: &Value) -> bool {
        if self.order.is_empty() {
            return false;
        }
        let rank = |value: &Value| {
            let word = value.as_str()?;
            self.order.iter().position(|step| step.has(word))
        };
        match (rank(old), rank(new)) {
            (Some(old), Some(new)) => new < old,
            _ => true,
        }
    }

    /// Sample values of the rule. Empty for a fact, which can be of any type.
    pub fn examples(&self) -> Vec<Example> {
        let sent = |value: Value| Example { value, is_sent: true };
        if !self.values.is_empty() {
            return self.values.values().map(|word| sent(word.as_str().into())).collect();
        }
        let name = match &self.source {
            Source::Constant(value) => return vec![sent(value.as_str().into())],
            Source::Fact(_) => return Vec::new(),
            Source::Own(name) => *name,
        };
        let words: &[&str] = match name {
            "score.fit" | "score.intent" => &["HIGH", "MEDIUM", "LOW"],
            "score.decision" | "task.decision" => &["ROUTE_TO_SDR", "NURTURE", "IGNORE", "MANUAL_REVIEW"],
            "lead.status" => &["new", "working", "nurturing", "in_review", "unqualified"],
            "task.priority" => &["low", "normal", "high"],
            _ => &[],
        };
        if !words.is_empty() {
            return words.iter().map(|word| sent(json!(word))).collect();
        }
        let value = match name {
            "score.fallback" => json!(true),
            "score.fit_score" | "opportunity.amount_usd" => json!(1),
            "task.due_at" | "activity.at" | "opportunity.closes_at" => json!("2026-11-25T12:00:00Z"),
            name if name.contains(".employees_") || name.contains(".revenue_") => json!(1),
            _ => json!("a text"),
        };
        vec![Example { value, is_sent: false }]
    }
}
