use serde::{Deserialize, Serialize};

/// Facts about a company. All fields but the domain may be absent; no field is empty or zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Firmographics {
    /// The domain of the lookup, in lower case.
    pub domain: String,
    /// The company's usual name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The industry in the provider's own scheme. Schemes differ between providers: compare through aliases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry: Option<String>,
    /// The number of employees, if a provider states an exact number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_count: Option<u64>,
    /// The number of employees as a band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_range: Option<Range>,
    /// Yearly revenue in US dollars (not thousands).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_usd: Option<Range>,
    /// City of the headquarters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State or region of the headquarters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Country of the headquarters, ISO 3166-1 alpha-2 in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Products that the company uses or builds with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub technologies: Vec<String>,
    /// The year the company was founded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founded_year: Option<u16>,
}

/// A band of numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The lower end.
    pub min: u64,
    /// The upper end; none for an open band such as "more than 10,000".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl Firmographics {
    /// The maximum length of a text, in characters. A provider's answer is untrusted input.
    pub const MAX_CHARS: usize = 200;
    /// The maximum number of technologies.
    pub const MAX_TECHNOLOGIES: usize = 100;
    /// The largest number: 2^53 - 1, which every JSON reader represents exactly.
    pub const MAX_NUMBER: u64 = (1 << 53) - 1;

    /// A company without facts.
    pub fn of(domain: impl Into<String>) -> Self {
        Self { domain: domain.into(), ..Self::default() }
    }

    /// The facts about `domain` in normal form. Values without a normal form are dropped, not guessed at.
    #[must_use]
    pub(crate) fn normalised(self, domain: &str) -> Self {
        let mut technologies: Vec<String> = Vec::new();
        for technology in self.technologies.iter().filter_map(|t| clean(t)) {
            if technologies.len() == Self::MAX_TECHNOLOGIES {
                break;
            }
            if !technologies.iter().any(|known| known.eq_ignore_ascii_case(&technology)) {
                technologies.push(technology);
            }
        }
        Self {
            domain: domain.to_owned(),
            name: self.name.as_deref().and_then(clean),
            industry: self.industry.as_deref().and_then(clean),
            employee_count: self.employee_count.filter(|n| (1..=Self::MAX_NUMBER).contains(n)),
            employee_range: self.employee_range.filter(Range::is_valid),
            revenue_usd: self.revenue_usd.filter(Range::is_valid),
            city: self.city.as_deref().and_then(clean),
            region: self.region.as_deref().and_then(clean),
            country: self
                .country
                .as_deref()
                .and_then(clean)
                .map(|code| code.to_ascii_uppercase())
                .filter(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())),
            technologies,
            founded_year: self.founded_year.filter(|year| (1000..=2100).contains(year)),
        }
    }

    /// Whether the facts suffice to judge the company: industry, size and country.
    pub fn is_sufficient(&self) -> bool {
        self.industry.is_some()
            && (self.employee_count.is_some() || self.employee_range.is_some())
            && self.country.is_some()
    }
}

impl Range {
    fn is_valid(&self) -> bool {
        let max = self.max.unwrap_or(self.min);
        self.min <= max
            && max <= Firmographics::MAX_NUMBER
            && (self.min > 0 || self.max.is_some_and(|max| max > 0))
    }
}

/// Collapses white space and removes control characters; none for a text that is empty or too long to be a
/// fact.
fn clean(text: &str) -> Option<String> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty() && text.chars().count() <= Firmographics::MAX_CHARS).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_normalised() {
        let raw = Firmographics {
            domain: "OTHER".into(),
            name: Some("  Example\n Inc ".into()),
            industry: Some(" \u{0}".into()),
            country: Some("us".into()),
            technologies: vec!["AWS".into(), " aws ".into(), String::new(), "Go".into()],
            ..Firmographics::default()
        };
        let clean = raw.normalised("example.com");
        assert_eq!(
            clean,
            Firmographics {
                name: Some("Example Inc".into()),
                country: Some("US".into()),
                technologies: vec!["AWS".into(), "Go".into()],
                ..Firmographics::of("example.com")
            }
        );
        assert_eq!(clean.clone().normalised("example.com"), clean);
    }

    #[test]
    fn implausible_facts_are_dropped() {
        let raw = Firmographics {
            name: Some("x".repeat(201)),
            employee_count: Some(0),
            employee_range: Some(Range { min: 50, max: Some(10) }),
            revenue_usd: Some(Range { min: u64::MAX, max: None }),
            country: Some("United States".into()),
            founded_year: Some(3),
            technologies: (0..500).map(|i| format!("t{i}")).collect(),
            ..Firmographics::default()
        };
        let mut clean = raw.normalised("example.com");
        assert_eq!(clean.technologies.len(), Firmographics::MAX_TECHNOLOGIES);
        clean.technologies.clear();
        assert_eq!(clean, Firmographics::of("example.com"));
    }

    #[test]
    fn open_band_is_valid_and_empty_one_is_not() {
        assert!(Range { min: 10_001, max: None }.is_valid());
        assert!(Range { min: 0, max: Some(10) }.is_valid());
        assert!(!Range { min: 0, max: None }.is_valid());
        assert!(!Range { min: 0, max: Some(0) }.is_valid());
    }
}
