use serde_json::Number;

/// The maximum length of a number as text, in bytes. A JSON writer needs 25 for `f64::MIN`.
const MAX_BYTES: usize = 64;

/// An exact decimal number, which loses no digit in comparisons.
///
/// Equal numbers are equal values: the digits have no zeros at either end, and zero has no digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    /// The value of a JSON number; none if the JSON parser had to round it: an integer above 64 bits, or a
    /// float so large that it represents several integers.
    pub(crate) fn of_json(number: &Number) -> Option<Self> {
        const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        let exact = number.is_i64() || number.is_u64() || number.as_f64()?.abs() < LARGEST_EXACT;
        if exact { Self::parse(&number.to_string()) } else { None }
    }

    /// Parses a number in any usual notation: `1200`, `1,200`, `1200.0`, `1.2e3`.
    ///
    /// The dot is always the decimal point, as in JSON: `1.200` is one and a fifth. Commas only group
    /// thousands: `1,2` and `1.200,5` are not numbers. `007` and `+7` are not numbers either, because only
    /// identifiers and telephone numbers are written like this. Units, currencies and percent signs are
    /// refused.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, power(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if all_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let whole = if whole.contains(',') { without_groups(whole)? } else { whole.to_owned() };
        if !all_digits(&whole) || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let fraction_length = i64::try_from(fraction.len()).ok()?;
        Some(Self::normal(negative, &(whole + fraction), exponent - fraction_length))
    }

    /// Parses only the canonical notation, which distinguishes a number from a version or a key: no trailing
    /// zeros after the point, no exponent, no minus before zero. Commas may group thousands.
    pub(crate) fn parse_canonical(text: &str) -> Option<Self> {
        let trailing_zeros = text.contains('.') && text.ends_with('0');
        if trailing_zeros || text.contains(['e', 'E']) {
            return None;
        }
        Self::parse(text).filter(|number| !number.digits.is_empty() || text == "0")
    }

    /// The number multiplied by a power of ten.
    pub(crate) fn times_ten_to(mut self, power: i64) -> Self {
        if !self.digits.is_empty() {
            self.exponent += power;
        }
        self
    }

    fn normal(negative: bool, digits: &str, exponent: i64) -> Self {
        let significant = digits.trim_start_matches('0');
        let kept = significant.trim_end_matches('0');
        if kept.is_empty() {
            return Self { negative: false, digits: String::new(), exponent: 0 };
        }
        let dropped = significant.len() - kept.len();
        // At most MAX_BYTES zeros were dropped.
        Self { negative, digits: kept.to_owned(), exponent: exponent + i64::try_from(dropped).unwrap_or(0) }
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The power of ten after an `e`, with at most four digits.
fn power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !all_digits(digits) || digits.len() > 4 {
        return None;
    }
    text.parse().ok()
}

/// Removes the commas from `1,234,567`.
fn without_groups(text: &str) -> Option<String> {
    let mut groups = text.split(',');
    let first = groups.next()?;
    let well_grouped =
        (1..=3).contains(&first.len()) && !first.starts_with('0') && groups.all(|group| group.len() == 3);
    well_grouped.then(|| text.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_many_notations() {
        let number = Decimal::parse("1200").unwrap();
        for text in ["1,200", "1200.0", "1200.000", "1,200.00", "1.2e3", "1.2E+3", "12000e-1"] {
            assert_eq!(Decimal::parse(text).as_ref(), Some(&number), "{text}");
        }
        for text in ["0", "-0", "0.00", "0e9", "-0.0"] {
            assert_eq!(Decimal::parse(text), Decimal::parse("0"), "{text}");
        }
    }

    #[test]
    fn different_numbers_are_not_equal() {
        for (a, b) in [
            ("1200", "-1200"),
            ("1200", "120"),
            ("1.200", "1200"),
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("0.1", "0.10000000000000001"),
            ("1e3", "1e4"),
        ] {
            assert_ne!(Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap(), "{a} {b}");
        }
    }

    #[test]
    fn unusual_notations_are_not_numbers() {
        for text in [
            "",
            "-",
            ".",
            "5.",
            ".5",
            "1,2",
            "1,20",
            "1,2000",
            "12,00,000",
            "1234,567",
            "0,123",
            ",123",
            "1.200,5",
            "1,,200",
            "007",
            "00",
            "+7",
            "--7",
            "1 200",
            " 7",
            "7%",
            "$7",
            "7k",
            "1e",
            "1e99999",
            "e5",
            "0x10",
            "NaN",
            "Infinity",
            "½",
            "１２",
            "1.2.3",
            "1.2,300",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
        assert_eq!(Decimal::parse(&"1".repeat(65)), None);
    }

    #[test]
    fn versions_and_keys_are_not_canonical_numbers() {
        for text in ["0", "7", "1200", "1,200", "-3.25", "0.5"] {
            assert!(Decimal::parse_canonical(text).is_some(), "{text}");
        }
        for text in ["1.10", "1.0", "1e5", "-0", "0.0", "007"] {
            assert_eq!(Decimal::parse_canonical(text), None, "{text}");
        }
    }

    #[test]
    fn rounded_json_number_is_none() {
        let number = |text: &str| serde_json::from_str::<Number>(text).unwrap();
        for exact in ["18446744073709551615", "-9223372036854775808", "0.1", "1e3", "-0.0"] {
            assert!(Decimal::of_json(&number(exact)).is_some(), "{exact}");
        }
        for rounded in ["18446744073709551616", "1e300", "-1e20"] {
            assert_eq!(Decimal::of_json(&number(rounded)), None, "{rounded}");
        }
        assert_eq!(Decimal::of_json(&number("1200.0")), Decimal::parse("1,200"));
    }
}
