//! Finds in the facts what the profile asks for, and says exactly where it stands, so that it can be quoted.

use grounding::{FactSheet, FieldPath};
use serde_json::Value;

use crate::icp::{Engagement, Signal};
use crate::text::fold;

/// A fact, and where it stands.
pub(crate) struct Found {
    pub(crate) path: FieldPath,
    /// The fact itself; of a list, the member.
    pub(crate) value: Value,
}

impl Signal {
    /// The first fact that fires the signal.
    pub(crate) fn fired_by(&self, facts: &FactSheet) -> Option<Found> {
        self.fields.iter().find_map(|field| {
            let path = field.path();
            let members = match facts.get(path)? {
                Value::Array(members) => members.as_slice(),
                single => std::slice::from_ref(single),
            };
            let value = members.iter().find(|member| self.holds(member))?;
            Some(Found { path: path.clone(), value: value.clone() })
        })
    }

    fn holds(&self, value: &Value) -> bool {
        let folded = match value {
            Value::String(text) => fold(text),
            Value::Number(number) => fold(&number.to_string()),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return false,
        };
        self.values.iter().any(|wanted| wanted.folded() == folded)
    }
}

/// How much a person engages, by the marketing platform's own score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngagementLevel {
    Low,
    Medium,
    High,
}

impl EngagementLevel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Engagement {
    /// The level of a score that can be believed, and the fact it was read from. Numbers may come as text.
    pub(crate) fn level(&self, facts: &FactSheet) -> Option<(EngagementLevel, Found)> {
        let path = FieldPath::parse(&format!("marketo.{}", self.field.text())).ok()?;
        let value = facts.get(&path)?;
        let score = match value {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        if !(0.0..=f64::from(self.believable_up_to)).contains(&score) {
            return None;
        }
        let level = if score >= f64::from(self.high_from) {
            EngagementLevel::High
        } else if score >= f64::from(self.medium_from) {
            EngagementLevel::Medium
        } else {
            EngagementLevel::Low
        };
        Some((level, Found { path, value: value.clone() }))
    }

    pub(crate) fn points(&self, level: EngagementLevel) -> u8 {
        match level {
            EngagementLevel::Low => 0,
            EngagementLevel::Medium => self.medium_points,
            EngagementLevel::High => self.high_points,
        }
    }
}

#[cfg(test)]
mod tests {
    use grounding::Namespace;
    use serde_json::json;

    use super::*;
    use crate::Icp;

    fn marketo(facts: &Value) -> FactSheet {
        let mut sheet = FactSheet::new();
        sheet.set(Namespace::Marketo, facts.as_object().unwrap().clone());
        sheet
    }

    #[test]
    fn an_engagement_score_is_read_from_numbers_and_text_and_from_nothing_else() {
        let engagement = Icp::default_config().engagement;
        let level = |value: Value| {
            engagement.level(&marketo(&json!({ "engagement_score": value }))).map(|(level, _)| level)
        };
        for (value, expected) in [
            (json!(85), Some(EngagementLevel::High)),
            (json!(" 85.5 "), Some(EngagementLevel::High)),
            (json!(40), Some(EngagementLevel::Medium)),
            (json!(39.9), Some(EngagementLevel::Low)),
            (json!(0), Some(EngagementLevel::Low)),
            (json!(-1), None),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!("very high"), None),
            (json!({ "value": 85 }), None),
            (json!([85]), None),
            (json!(true), None),
        ] {
            assert_eq!(level(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn a_signal_quotes_the_fact_that_fired_it() {
        let icp = Icp::default_config();
        let pricing = icp.signals.iter().find(|s| s.name.text() == "pricing_page").unwrap();
        let found =
            pricing.fired_by(&marketo(&json!({ "activities": ["x", 3, null, "Pricing Page"] }))).unwrap();
        assert_eq!((found.path.as_str(), found.value), ("marketo.activities", json!("Pricing Page")));
        assert!(pricing.fired_by(&marketo(&json!({ "activity": "pricing_page_visits_are_up" }))).is_none());
        assert!(pricing.fired_by(&marketo(&json!({ "activity": { "name": "pricing_page" } }))).is_none());
    }
}
