//! Parses numbers and bands in the notations of the providers.
//!
//! The same fact may be `850`, `850.0`, `"850"`, `"1,000 - 5,000"`, `"10001+"`, `"$10M-$50M"` or `"Over $5
//! bil."`. Any other notation is dropped, not guessed at.

use serde_json::Value;

use crate::{Firmographics, Range};

/// The maximum length of a text, in bytes.
const MAX_BYTES: usize = 64;
/// The maximum number of digits of a number, and below of its fraction.
const MAX_DIGITS: usize = 16;
const MAX_FRACTION: usize = 6;

/// Reads a whole number; a fraction is cut off.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => {
            number.as_u64().or_else(|| exact(&format!("{:.0}", number.as_f64()?.floor())))
        }
        Value::String(text) => {
            let text = folded(text)?;
            exact(&text).or_else(|| amount(&text)?.whole(None))
        }
        _ => None,
    }
    .filter(|number| *number <= Firmographics::MAX_NUMBER)
}

/// Reads a band. A single number is the band from and to this number.
pub(crate) fn band(value: &Value) -> Option<Range> {
    if let Some(number) = number(value) {
        return Some(Range { min: number, max: Some(number) });
    }
    let text = folded(value.as_str()?)?;
    if let Some(rest) = after_any(&text, &["more than", "over", "at least", "above", ">=", ">"]) {
        return Some(Range { min: amount(rest)?.whole(None)?, max: None });
    }
    if let Some(rest) = after_any(&text, &["less than", "under", "up to", "below", "<=", "<"]) {
        return Some(Range { min: 0, max: Some(amount(rest)?.whole(None)?) });
    }
    if let Some(rest) = before_any(&text, &["+", "and above", "and over", "or more"]) {
        return Some(Range { min: amount(rest)?.whole(None)?, max: None });
    }
    let (low, high) = text.split_once('-').or_else(|| text.split_once(" to "))?;
    let (low, high) = (amount(low)?, amount(high)?);
    let max = high.whole(None)?;
    // In "$10-50M" the unit applies to both ends.
    let shared = high.unit.filter(|unit| *unit >= MILLION && low.unit.is_none());
    let min = low.whole(shared).filter(|min| *min <= max).or_else(|| low.whole(None))?;
    (min <= max).then_some(Range { min, max: Some(max) })
}

/// Lower case, one kind of dash, and no trailing unit such as "employees"; none for a text that is too long.
fn folded(text: &str) -> Option<String> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let text =
        text.trim().to_lowercase().replace(['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}'], "-");
    let text = before_any(&text, &["employees", "people", "usd"]).unwrap_or(&text);
    Some(text.trim().to_owned())
}

fn after_any<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| text.strip_prefix(word))
}

fn before_any<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| text.strip_suffix(word))
}

fn exact(text: &str) -> Option<u64> {
    (!text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

const THOUSAND: u64 = 1_000;
const MILLION: u64 = 1_000_000;

/// A number with its unit.
struct Amount {
    /// The value before the unit, times 10 to the power of `decimals`.
    scaled: u128,
    decimals: u32,
    unit: Option<u64>,
}

impl Amount {
    /// The whole number; `unit` applies if the text has none.
    fn whole(&self, unit: Option<u64>) -> Option<u64> {
        let unit = self.unit.or(unit).unwrap_or(1);
        let whole = self.scaled.checked_mul(unit.into())? / 10_u128.pow(self.decimals);
        u64::try_from(whole).ok().filter(|whole| *whole <= Firmographics::MAX_NUMBER)
    }
}

/// Reads an amount such as `$1,234.5 mil.`: an optional dollar sign, thousands in groups of three, an
/// optional unit.
fn amount(text: &str) -> Option<Amount> {
    let text = text.trim();
    let text = after_any(text, &["us$", "usd", "$"]).unwrap_or(text).trim_start();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ',' || c == '.')).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let digits = digits.strip_suffix('.').unwrap_or(digits);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = without_groups(whole)?;
    let is_number = whole.len() <= MAX_DIGITS
        && fraction.len() <= MAX_FRACTION
        && fraction.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        return None;
    }
    let unit = match unit.trim().trim_end_matches('.') {
        "" => None,
        "k" | "thousand" => Some(THOUSAND),
        "m" | "mm" | "mn" | "mil" | "million" => Some(MILLION),
        "b" | "bn" | "bil" | "billion" => Some(1_000 * MILLION),
        "t" | "tn" | "tril" | "trillion" => Some(1_000_000 * MILLION),
        _ => return None,
    };
    let scaled = format!("{whole}{fraction}").parse().ok()?;
    Some(Amount { scaled, decimals: u32::try_from(fraction.len()).ok()?, unit })
}

/// Removes the commas from `1,234,567`. Any other comma may be a decimal sign, and the text is refused.
fn without_groups(text: &str) -> Option<String> {
    let mut groups = text.split(',');
    let mut digits = groups.next().filter(|first| !first.is_empty())?.to_owned();
    let first = digits.len();
    for group in groups {
        if group.len() != 3 || first > 3 {
            return None;
        }
        digits.push_str(group);
    }
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn band_of(text: &str) -> Option<(u64, Option<u64>)> {
        band(&json!(text)).map(|range| (range.min, range.max))
    }

    #[test]
    fn numbers_may_be_numbers_or_texts() {
        for (value, expected) in [
            (json!(850), Some(850)),
            (json!(850.0), Some(850)),
            (json!(1.9e3), Some(1900)),
            (json!("850"), Some(850)),
            (json!(" 1,234 "), Some(1234)),
            (json!("1.2K"), Some(1200)),
            (json!("$3.5 bil."), Some(3_500_000_000)),
            (json!("420 employees"), Some(420)),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("1,23"), None),
            (json!("1234,567"), None),
            (json!("€50M"), None),
            (json!("many"), None),
            (json!(""), None),
            (json!(null), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            assert_eq!(number(&value), expected, "{value}");
        }
    }

    #[test]
    fn bands_of_all_providers_are_read() {
        for (text, expected) in [
            ("51-200", (51, Some(200))),
            ("51 – 200", (51, Some(200))),
            ("1,001 to 5,000", (1001, Some(5000))),
            ("10001+", (10_001, None)),
            ("10,000+ employees", (10_000, None)),
            ("$10M-$50M", (10_000_000, Some(50_000_000))),
            ("$10-50M", (10_000_000, Some(50_000_000))),
            ("$500K-$1M", (500_000, Some(1_000_000))),
            ("$500K-1M", (500_000, Some(1_000_000))),
            ("500-1K", (500, Some(1000))),
            ("$10 mil. - $25 mil.", (10_000_000, Some(25_000_000))),
            ("Over $5 bil.", (5_000_000_000, None)),
            ("$10B+", (10_000_000_000, None)),
            ("Under $500,000", (0, Some(500_000))),
            ("<1M", (0, Some(1_000_000))),
            ("250", (250, Some(250))),
        ] {
            assert_eq!(band_of(text), Some(expected), "{text}");
        }
        for text in ["", "-", "200-51", "$5M-$1M", "1-2-3", "a-b", "-5", "10M€-20M€", "unknown", "+"] {
            assert_eq!(band_of(text), None, "{text}");
        }
    }

    /// A number with commas between its groups of three.
    fn grouped(number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    proptest! {
        #[test]
        fn notation_does_not_change_a_band(a in 1..2_000_000_u64, b in 1..2_000_000_u64) {
            let (min, max) = (a.min(b), a.max(b));
            let expected = Some((min, Some(max)));
            for text in [
                format!("{min}-{max}"),
                format!("{} - {}", grouped(min), grouped(max)),
                format!("${min}\u{2013}${max}"),
                format!("{min} to {max} employees"),
                format!("USD {min} - USD {max}"),
            ] {
                prop_assert_eq!(band_of(&text), expected, "{}", text);
            }
            prop_assert_eq!(band_of(&format!("{min}+")), Some((min, None)));
            prop_assert_eq!(band_of(&format!("Under {max}")), Some((0, Some(max))));
        }

        #[test]
        fn unit_multiplies_exactly(thousandths in 1..9_000_000_u64) {
            let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
            let written = format!("${whole}.{rest:03}");
            prop_assert_eq!(number(&json!(format!("{written}K"))), Some(thousandths));
            prop_assert_eq!(number(&json!(format!("{written} million"))), Some(thousandths * 1_000));
            prop_assert_eq!(number(&json!(format!("{written}B"))), Some(thousandths * 1_000_000));
        }

        #[test]
        fn any_text_gives_a_valid_band_or_none(text in any::<String>()) {
            if let Some((min, max)) = band_of(&text) {
                prop_assert!(min <= max.unwrap_or(min) && max.unwrap_or(min) <= Firmographics::MAX_NUMBER);
            }
        }

        #[test]
        fn any_number_like_text_gives_a_valid_band_or_none(text in "[-$<>+., 0-9kmbKMB]{0,20}") {
            if let Some((min, max)) = band_of(&text) {
                prop_assert!(min <= max.unwrap_or(min) && max.unwrap_or(min) <= Firmographics::MAX_NUMBER);
            }
        }
    }
}
