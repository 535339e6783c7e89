use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::source::{SCORE, Source};

/// When a field is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Whenever its value changes.
    #[default]
    Always,
    /// Only where the CRM has no value.
    IfEmpty,
    /// Only on a record that we create.
    NeverOverwrite,
}

/// What a rule does to a record that was there before us. It only ever writes less than [`Write`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopted {
    /// The same as on a record that we created.
    Same,
    /// Nothing, unless the CRM has no value.
    IfEmpty,
    /// Nothing where the record's score is higher than the new one.
    NotLower,
    /// Nothing.
    Never,
}

/// One rule: a value of ours and the field it goes to.
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

/// One step of an `order`: a word, or words that count alike.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// A word.
    One(String),
    /// Words that may follow each other in any order.
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

/// A value that a rule may send, to hold against a field's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The value.
    pub value: Value,
    /// Whether exactly this value is sent at times; otherwise it only stands for its type.
    pub is_sent: bool,
}

impl Rule {
    /// The CRM's name of the field.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// When the field is written.
    pub fn write(&self) -> Write {
        self.write
    }

    /// What it does to a record that was there before us.
    pub fn adopted(&self) -> Adopted {
        self.adopted
    }

    /// Whether it sends the score.
    pub(crate) fn is_score(&self) -> bool {
        self.source == Source::Own(SCORE)
    }

    /// Whether it sends what was judged of the lead, or what follows from it.
    pub(crate) fn is_judgement(&self) -> bool {
        self.source.is_judgement()
    }

    /// What a new record gets where there is no value of ours, or none that the CRM takes.
    pub fn default(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// Whether a part of the value would be another value, so that it is left out where it is too long: addresses, telephone
    /// numbers, ids. Of a fact, which may be anything, an e-mail address and a link.
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

    /// Where the value comes from, as the mapping writes it.
    pub fn origin(&self) -> &str {
        self.source.as_str()
    }

    /// Translates by `values`; none for a word that is not in them.
    pub(super) fn in_the_crms_words(&self, value: &Value) -> Option<Value> {
        if self.values.is_empty() {
            return Some(value.clone());
        }
        let word = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.values.get(&word).map(|text| Value::String(text.clone()))
    }

    /// Whether the CRM is at a later word of the `order` than the new one, or at one that is not part of it.
    pub fn moves_back(&self, old: &Value, new: &Value) -> bool {
        if self.order.is_empty() {
            return false;
        }
        let place = |value: &Value| {
            let word = value.as_str()?;
            self.order.iter().position(|step| step.has(word))
        };
        match (place(old), place(new)) {
            (Some(old), Some(new)) => new < old,
            _ => true,
        }
    }

    /// Values that stand for what it sends; none for a fact, which may be anything.
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
