//! Companies in JSON: helpers for all providers, and the format of Clearbit, which Hunter adopted.

use serde_json::Value;

use crate::numbers::{band, number};
use crate::{Firmographics, Range, country};

/// A trimmed, non-empty text.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts of a list; other members are skipped.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(text).collect()
}

/// A country by its code or name.
pub(crate) fn country_code(value: &Value) -> Option<String> {
    value.as_str().and_then(country::iso2).map(str::to_owned)
}

/// A year, as a number or a text.
pub(crate) fn year(value: &Value) -> Option<u16> {
    number(value)?.try_into().ok()
}

/// The exact number if the provider has one, else the band.
pub(crate) fn exactly_or(exact: Option<u64>, range: &Value) -> Option<Range> {
    exact.map(|exact| Range { min: exact, max: Some(exact) }).or_else(|| band(range))
}

/// A company in the format of Clearbit or Hunter. Hunter's numbers may be texts, and its number of employees
/// a band.
pub(crate) fn clearbit_shape(company: &Value) -> Firmographics {
    let (metrics, geo, category) = (&company["metrics"], &company["geo"], &company["category"]);
    let employees = &metrics["employees"];
    Firmographics {
        name: text(&company["name"]),
        industry: text(&category["industry"])
            .or_else(|| text(&category["industryGroup"]))
            .or_else(|| text(&category["sector"])),
        employee_count: number(employees),
        employee_range: band(&metrics["employeesRange"])
            .or_else(|| band(employees).filter(|_| number(employees).is_none())),
        revenue_usd: exactly_or(number(&metrics["annualRevenue"]), &metrics["estimatedAnnualRevenue"]),
        city: text(&geo["city"]),
        region: text(&geo["state"]),
        country: country_code(&geo["countryCode"]).or_else(|| country_code(&geo["country"])),
        technologies: texts(&company["tech"]),
        founded_year: year(&company["foundedYear"]),
        ..Firmographics::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_texts_are_read_alike() {
        let in_numbers = json!({
            "name": "Example Corp", "category": {"industry": "Software"}, "foundedYear": 2009, "tech": ["aws", "go"],
            "geo": {"city": "Los Angeles", "state": "California", "countryCode": "US"},
            "metrics": {"employees": 850, "employeesRange": "251-1K", "annualRevenue": null, "estimatedAnnualRevenue": "$50M-$100M"},
        });
        let in_texts = json!({
            "name": "Example Corp", "category": {"industry": null, "industryGroup": "Software"}, "foundedYear": "2009",
            "tech": ["aws", 3, "go"], "geo": {"city": "Los Angeles", "state": "California", "country": "United States"},
            "metrics": {"employees": "850", "employeesRange": "251-1K", "estimatedAnnualRevenue": "$50M-$100M"},
        });
        let company = clearbit_shape(&in_numbers);
        assert_eq!(company, clearbit_shape(&in_texts));
        assert_eq!((company.employee_count, company.country.as_deref()), (Some(850), Some("US")));
        assert_eq!(company.employee_range, Some(Range { min: 251, max: Some(1000) }));
        assert_eq!(company.revenue_usd, Some(Range { min: 50_000_000, max: Some(100_000_000) }));
    }

    #[test]
    fn number_of_employees_may_be_a_band() {
        let company = clearbit_shape(&json!({"metrics": {"employees": "51-200"}}));
        assert_eq!((company.employee_count, company.employee_range.map(|range| range.min)), (None, Some(51)));
        let company = clearbit_shape(&json!({"metrics": {"employees": 42}}));
        assert_eq!((company.employee_count, company.employee_range), (Some(42), None));
    }

    #[test]
    fn unexpected_json_is_an_empty_company() {
        for odd in
            [json!(null), json!([]), json!("x"), json!({"metrics": [1], "geo": "US", "tech": {"a": 1}})]
        {
            assert_eq!(clearbit_shape(&odd), Firmographics::default());
        }
    }
}
