//! Maps the names of countries to ISO 3166-1 alpha-2 codes.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

/// The maximum length of a name, in bytes.
const MAX_BYTES: usize = 100;

/// The codes by lower-case code and by folded name.
static COUNTRIES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let mut countries = HashMap::new();
    for (code, names) in table() {
        countries.insert(code.to_ascii_lowercase(), code);
        for name in names.split('|') {
            countries.insert(folded(name), code);
        }
    }
    countries
});

/// The ISO 3166-1 alpha-2 code of a country, from its name or code.
pub(crate) fn iso2(name: &str) -> Option<&'static str> {
    if name.len() > MAX_BYTES {
        return None;
    }
    COUNTRIES.get(&folded(name)).copied()
}

fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../data/countries.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
}

/// Reduces a name to its ASCII letters and digits, without accents. `&` becomes "and", "saint" becomes "st",
/// and a leading "the" is dropped.
fn folded(name: &str) -> String {
    let plain: String = name.nfkd().filter(char::is_ascii).flat_map(char::to_lowercase).collect();
    let plain = plain.replace('&', " and ").replace('.', "");
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| if word == "saint" { "st" } else { word }).collect();
    match words.as_slice() {
        ["the", rest @ ..] if !rest.is_empty() => rest.concat(),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_known_by_name_code_and_alias() {
        for (name, code) in [
            ("United States", "US"),
            ("united states of america", "US"),
            ("U.S.A.", "US"),
            ("us", "US"),
            ("GB", "GB"),
            ("uk", "GB"),
            ("United Kingdom", "GB"),
            ("The Netherlands", "NL"),
            ("germany", "DE"),
            ("Côte d'Ivoire", "CI"),
            ("Korea, Republic of", "KR"),
            ("South Korea", "KR"),
            ("Trinidad and Tobago", "TT"),
            ("Saint Kitts & Nevis", "KN"),
            ("Türkiye", "TR"),
            ("Taiwan, Province of China", "TW"),
            ("Czechia", "CZ"),
        ] {
            assert_eq!(iso2(name), Some(code), "{name}");
        }
        for name in ["", "Atlantis", "XX", "the", "United", "Ünited", "California"] {
            assert_eq!(iso2(name), None, "{name}");
        }
    }

    #[test]
    fn names_are_unique_and_the_list_is_complete() {
        let mut seen = HashMap::new();
        for (code, names) in table() {
            assert!(code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()), "{code}");
            for name in names.split('|').map(folded) {
                assert!(name.len() > 1, "{names}");
                if let Some(other) = seen.insert(name, code) {
                    assert_eq!(other, code, "{names}");
                }
            }
        }
        assert_eq!(table().count(), 249);
        for (code, _) in table() {
            assert_eq!(iso2(code), Some(code), "no name may be another country's code");
        }
    }
}
