//! The companies of the enrichment fakes: RevenueFlow's built-in fixtures in each provider's format.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

const THOUSAND: u64 = 1_000;
const MILLION: u64 = 1_000_000;
const BILLION: u64 = 1_000_000_000;

#[derive(Deserialize)]
pub(crate) struct Company {
    pub(crate) domain: String,
    pub(crate) name: String,
    pub(crate) industry: String,
    employee_count: Option<u64>,
    employee_range: Option<Band>,
    revenue_usd: Band,
    pub(crate) city: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) country: String,
    #[serde(default)]
    pub(crate) technologies: Vec<String>,
    pub(crate) founded_year: u16,
}

#[derive(Clone, Copy, Deserialize)]
struct Band {
    min: u64,
    max: Option<u64>,
}

static COMPANIES: LazyLock<HashMap<String, Company>> = LazyLock::new(|| {
    let json = include_str!("../../../shared/enrichment/data/companies.json");
    let companies: Vec<Company> = serde_json::from_str(json).unwrap_or_default(); // a test reads the same text
    companies.into_iter().map(|company| (company.domain.clone(), company)).collect()
});

/// The company of a domain; a URL is accepted as well.
pub(crate) fn find(domain: &str) -> Option<&'static Company> {
    let domain = domain.trim_start_matches("https://").trim_start_matches("http://");
    let domain = domain.trim_start_matches("www.").split('/').next().unwrap_or_default();
    COMPANIES.get(&domain.to_ascii_lowercase())
}

/// Whether a text has the characters of a domain.
pub(crate) fn is_domain(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.:/".contains(c))
}

impl Company {
    /// The employee count, or the middle of the range if only a range is known.
    pub(crate) fn employees(&self) -> u64 {
        let middle = |band: Band| band.max.map_or(band.min, |max| u64::midpoint(band.min, max));
        self.employee_count.or_else(|| self.employee_range.map(middle)).unwrap_or(1)
    }

    /// Size bands of People Data Labs, such as `51-200` and `10001+`.
    pub(crate) fn size(&self) -> String {
        let bands = [(1, 10), (11, 50), (51, 200), (201, 500), (501, 1_000), (1_001, 5_000), (5_001, 10_000)];
        let band = bands.iter().find(|(min, max)| (*min..=*max).contains(&self.employees()));
        band.map_or("10001+".to_owned(), |(min, max)| format!("{min}-{max}"))
    }

    /// Such as `$10M-$50M` and `$10B+`.
    pub(crate) fn revenue_band(&self) -> String {
        match self.revenue_usd.max {
            Some(max) => format!("${}-${}", short(self.revenue_usd.min), short(max)),
            None => format!("${}+", short(self.revenue_usd.min)),
        }
    }

    /// The lower bound of the revenue band, in US dollars.
    pub(crate) fn revenue(&self) -> u64 {
        self.revenue_usd.min
    }

    pub(crate) fn country_name(&self) -> &'static str {
        match self.country.as_str() {
            "AU" => "Australia",
            "CA" => "Canada",
            "CH" => "Switzerland",
            "DE" => "Germany",
            "GB" => "United Kingdom",
            "JP" => "Japan",
            "NL" => "Netherlands",
            "SE" => "Sweden",
            _ => "United States",
        }
    }
}

/// Such as `50M`.
fn short(dollars: u64) -> String {
    match dollars {
        BILLION.. => format!("{}B", dollars / BILLION),
        MILLION.. => format!("{}M", dollars / MILLION),
        _ => format!("{}K", dollars / THOUSAND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_company_is_known_with_its_country() {
        assert!(COMPANIES.len() >= 40);
        let unnamed =
            |company: &&Company| company.country != "US" && company.country_name() == "United States";
        assert_eq!(COMPANIES.values().find(unnamed).map(|company| company.country.as_str()), None);
        let stripe = find("https://www.Stripe.com/payments").unwrap();
        assert_eq!((stripe.size().as_str(), stripe.revenue_band().as_str()), ("5001-10000", "$1B-$10B"));
        assert!(find("unknown.example").is_none());
    }
}
