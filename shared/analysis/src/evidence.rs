//! Finds the facts that the profile looks for, with their exact paths, so that claims can quote them.

use enrichment::Firmographics;
use grounding::{FactSheet, FieldPath};
use serde_json::{Map, Value};

use crate::icp::{Engagement, Icp, Signal};
use crate::label::is_label;
use crate::text::fold;

/// A fact with its path.
pub(crate) struct Found {
    pub(crate) path: FieldPath,
    /// The fact, or the member of a list.
    pub(crate) value: Value,
}

impl Signal {
    /// The first fact that fires the signal.
    pub(crate) fn fired_by(&self, facts: &FactSheet) -> Option<Found> {
        self.all_in(facts).next()
    }

    /// All facts that fire the signal; of a list, each member that does.
    pub(crate) fn all_in(&self, facts: &FactSheet) -> impl Iterator<Item = Found> {
        self.fields.iter().flat_map(|field| {
            let path = field.path();
            let members = match facts.get(path) {
                Some(Value::Array(members)) => members.as_slice(),
                Some(single) => std::slice::from_ref(single),
                None => &[],
            };
            let fire = members.iter().filter(|member| self.holds(member));
            fire.map(|value| Found { path: path.clone(), value: value.clone() })
        })
    }

    /// Whether a value fires the signal. A text that is not a label fires none.
    pub(crate) fn holds(&self, value: &Value) -> bool {
        let folded = match value {
            Value::String(text) if is_label(text) => fold(text),
            Value::Number(number) => fold(&number.to_string()),
            Value::Bool(flag) => flag.to_string(),
            Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => return false,
        };
        self.values.iter().any(|wanted| wanted.folded() == folded)
    }
}

impl Icp {
    /// The facts behind the computed scores: by path, the values that fired a signal or matched the profile.
    pub(crate) fn matched_facts(
        &self,
        company: Option<&Firmographics>,
        sent: &FactSheet,
        computed: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut matched: Map<String, Value> = Map::new();
        let has = |fact: &str| computed.contains_key(fact);
        let mut add = |path: &str, value: Value| {
            let values = matched.entry(path).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(values) = values.as_array_mut().filter(|values| !values.contains(&value)) {
                values.push(value);
            }
        };
        if let Some(company) = company {
            if let Some(industry) = company.industry.as_ref().filter(|_| has("industry_match")) {
                add("enrichment.industry", industry.clone().into());
            }
            if has("size_band") {
                match (company.employee_count, company.employee_range) {
                    (Some(count), _) => add("enrichment.employee_count", count.into()),
                    (None, Some(range)) => add("enrichment.employee_range.min", range.min.into()),
                    (None, None) => {}
                }
            }
            if let Some(country) = company.country.as_ref().filter(|_| has("geo_match")) {
                add("enrichment.country", country.clone().into());
            }
            for technology in computed.get("tech_match").and_then(Value::as_array).into_iter().flatten() {
                add("enrichment.technologies", technology.clone());
            }
        }
        let engagement = self.engagement.level(sent).filter(|(level, _)| self.engagement.points(*level) > 0);
        let signals =
            self.signals.iter().filter(|signal| signal.points > 0).flat_map(|signal| signal.all_in(sent));
        for Found { path, value } in engagement.map(|(_, found)| found).into_iter().chain(signals) {
            add(path.as_str(), value);
        }
        matched
    }
}

/// The engagement of a person, by the score of the marketing platform.
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
    /// The level of a plausible score, and the fact that holds the score. Numbers may be texts.
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
    fn engagement_score_is_read_from_numbers_and_text_only() {
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
    fn signal_quotes_the_fact_that_fired_it() {
        let icp = Icp::default_config();
        let pricing = icp.signals.iter().find(|s| s.name.text() == "pricing_page").unwrap();
        let found =
            pricing.fired_by(&marketo(&json!({ "activities": ["x", 3, null, "Pricing Page"] }))).unwrap();
        assert_eq!((found.path.as_str(), found.value), ("marketo.activities", json!("Pricing Page")));
        assert!(pricing.fired_by(&marketo(&json!({ "activity": "pricing_page_visits_are_up" }))).is_none());
        assert!(pricing.fired_by(&marketo(&json!({ "activity": { "name": "pricing_page" } }))).is_none());
    }
}
