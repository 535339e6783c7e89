use std::collections::BTreeMap;

use std::fmt::Display;

use lead::{Decision, Intent};
use serde::Deserialize;

use crate::OwnerId;

/// The facts about a lead that rules can match on. An absent fact satisfies no condition on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadFacts {
    /// Country of the company, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// State or region of the company.
    pub region: Option<String>,
    /// Industry of the company, as the provider names it.
    pub industry: Option<String>,
    /// Number of employees of the company. The lower bound if the provider reports a range.
    pub employees: Option<u64>,
    /// The campaign of the lead.
    pub campaign: String,
    /// The fit score. Absent if the analysis was rejected.
    pub fit_score: Option<u64>,
    /// The intent. Absent if the analysis was rejected.
    pub intent: Option<Intent>,
    /// The decision. Absent if the analysis was rejected.
    pub decision: Option<Decision>,
    /// The CRM's owner of the person or the company.
    pub existing_owner: Option<OwnerId>,
    /// The reason why that owner cannot receive the lead, as the end of a sentence: "is inactive in the CRM".
    pub existing_owner_problem: Option<String>,
    /// The owners that cannot receive any lead, each with the reason in the same form.
    pub unavailable: BTreeMap<OwnerId, String>,
}

/// The condition of a rule. Every key that is present must match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    pub(crate) country: Option<Vec<String>>,
    pub(crate) region: Option<Vec<String>>,
    pub(crate) industry: Option<Vec<String>>,
    pub(crate) campaign: Option<Vec<String>>,
    pub(crate) employees: Option<Bounds>,
    pub(crate) fit_score: Option<Bounds>,
    pub(crate) intent: Option<Vec<Intent>>,
    pub(crate) decision: Option<Vec<Decision>>,
    pub(crate) existing_owner: Option<bool>,
}

/// A range of numbers, both ends included.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    #[serde(default)]
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
}

impl Bounds {
    fn contains(self, number: u64) -> bool {
        number >= self.min && self.max.is_none_or(|max| number <= max)
    }

    fn includes(self, other: Self) -> bool {
        let below = match (self.max, other.max) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(max), Some(other)) => other <= max,
        };
        self.min <= other.min && below
    }
}

impl Condition {
    /// The reason why the condition does not match a lead, with the expected and the actual value. `None` if
    /// it matches.
    pub(crate) fn unmet(&self, lead: &LeadFacts) -> Option<String> {
        unlisted("country", self.country.as_deref(), lead.country.as_ref(), |a, b| same(a, b))
            .or_else(|| unlisted("region", self.region.as_deref(), lead.region.as_ref(), |a, b| same(a, b)))
            .or_else(|| {
                unlisted("industry", self.industry.as_deref(), lead.industry.as_ref(), |a, b| same(a, b))
            })
            .or_else(|| {
                unlisted("campaign", self.campaign.as_deref(), Some(&lead.campaign), |a, b| matches(a, b))
            })
            .or_else(|| outside("employees", self.employees, lead.employees))
            .or_else(|| outside("fit_score", self.fit_score, lead.fit_score))
            .or_else(|| unlisted("intent", self.intent.as_deref(), lead.intent.as_ref(), |a, b| a == b))
            .or_else(|| unlisted("decision", self.decision.as_deref(), lead.decision.as_ref(), |a, b| a == b))
            .or_else(|| match (self.existing_owner, &lead.existing_owner) {
                (Some(true), None) => Some("the CRM names no owner".to_owned()),
                (Some(false), Some(owner)) => Some(format!("the CRM names an owner, {owner}")),
                _ => None,
            })
    }

    /// Whether every lead that matches `other` matches this condition too, judged by the configured values
    /// alone.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        covers(self.country.as_deref(), other.country.as_deref(), |a, b| same(a, b))
            && covers(self.region.as_deref(), other.region.as_deref(), |a, b| same(a, b))
            && covers(self.industry.as_deref(), other.industry.as_deref(), |a, b| same(a, b))
            && covers(self.campaign.as_deref(), other.campaign.as_deref(), |a, b| matches(a, b))
            && within(self.employees, other.employees)
            && within(self.fit_score, other.fit_score)
            && covers(self.intent.as_deref(), other.intent.as_deref(), |a, b| a == b)
            && covers(self.decision.as_deref(), other.decision.as_deref(), |a, b| a == b)
            && self.existing_owner.is_none_or(|wanted| other.existing_owner == Some(wanted))
    }
}

/// The reason why a value is not in a list. `matches` compares a list entry, given first, with the value.
fn unlisted<T: Display>(
    key: &str,
    listed: Option<&[T]>,
    value: Option<&T>,
    matches: impl Fn(&T, &T) -> bool,
) -> Option<String> {
    let listed = listed?;
    let Some(value) = value else { return Some(format!("the {key} is not known")) };
    let is_listed = listed.iter().any(|entry| matches(entry, value));
    (!is_listed).then(|| format!("the {key} is {value}, not {}", any_of(listed)))
}

/// The reason why a number is not within bounds.
fn outside(key: &str, bounds: Option<Bounds>, number: Option<u64>) -> Option<String> {
    let bounds = bounds?;
    let Some(number) = number else { return Some(format!("{key} is not known")) };
    let wanted = match bounds.max {
        Some(max) => format!("{} to {max}", bounds.min),
        None => format!("{} or more", bounds.min),
    };
    (!bounds.contains(number)).then(|| format!("{key} is {number}, not {wanted}"))
}

/// A list for a message, cut to five entries.
fn any_of<T: Display>(listed: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut words: Vec<String> = listed.iter().take(SHOWN).map(ToString::to_string).collect();
    if listed.len() > SHOWN {
        words.push(format!("{} others", listed.len() - SHOWN));
    }
    words.join(", ")
}

/// Compares texts, ignoring case and white space.
fn same(listed: &str, value: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(listed) == words(value)
}

/// Compares campaign ids. A trailing star in the listed id matches any suffix.
fn matches(listed: &str, value: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(beginning) => value.starts_with(beginning),
        None => listed == value,
    }
}

fn covers<T>(wide: Option<&[T]>, narrow: Option<&[T]>, matches: impl Fn(&T, &T) -> bool) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            narrow.iter().all(|value| wide.iter().any(|entry| matches(entry, value)))
        }
    }
}

fn within(wide: Option<Bounds>, narrow: Option<Bounds>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => wide.includes(narrow),
    }
}
