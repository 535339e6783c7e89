//! Exact numbers: the value of a JSON number is its digits, not the nearest float.

use serde_json::{Number, Value};

/// Maximum number of digits of a number. Every finite double has fewer when it is written out.
const MAX_DIGITS: usize = 350;

/// Writes out a JSON number, without an exponent and without trailing zeros in its fraction. Returns `None`
/// if it has more than 350 digits. `literal` follows the grammar of JSON.
pub(crate) fn plain(literal: &str) -> Option<String> {
    let (sign, rest) = literal.strip_prefix('-').map_or(("", literal), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    // The position of the decimal point, counted from the first significant digit.
    let shift: i64 = exponent.parse().ok()?;
    let point =
        shift.checked_add(i64::try_from(whole.len()).ok()?)?.checked_sub(i64::try_from(leading).ok()?)?;
    let distance = usize::try_from(point.unsigned_abs()).ok()?;
    if distance > MAX_DIGITS || significant.len() > MAX_DIGITS {
        return None;
    }
    Some(if point <= 0 {
        format!("{sign}0.{}{significant}", "0".repeat(distance))
    } else if distance >= significant.len() {
        format!("{sign}{significant}{}", "0".repeat(distance - significant.len()))
    } else {
        format!("{sign}{}.{}", &significant[..distance], &significant[distance..])
    })
}

/// Converts a JSON number to a number if that holds it exactly, and to a text of its digits otherwise.
/// Returns `None` if it is too long.
pub(crate) fn exact(literal: &str) -> Option<Value> {
    if let Ok(number) = literal.parse::<i64>() {
        return Some(number.into());
    }
    let plain_text = plain(literal)?;
    if let Ok(number) = plain_text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = plain_text.parse::<u64>() {
        return Some(number.into());
    }
    let float = plain_text
        .parse::<f64>()
        .ok()
        .filter(|float| plain(&float.to_string()).as_ref() == Some(&plain_text));
    Some(float.and_then(Number::from_f64).map_or(Value::String(plain_text), Value::Number))
}

/// Converts a text that is a JSON number, if a number holds it exactly.
pub(crate) fn from_text(text: &str) -> Option<Value> {
    serde_json::from_str::<Number>(text).ok()?;
    exact(text.trim()).filter(Value::is_number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn number_is_written_out() {
        for (literal, text) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("15550000000.0", "15550000000"),
            ("1.555e10", "15550000000"),
            ("1.2021E+20", "120210000000000000000"),
            ("120210000000000000001", "120210000000000000001"),
            ("12.50", "12.5"),
            ("-12.5e-3", "-0.0125"),
            ("0.001", "0.001"),
            ("100e-2", "1"),
        ] {
            assert_eq!(plain(literal).as_deref(), Some(text), "{literal}");
        }
        for literal in ["1e999", "1e-999", "1e99999999999999999999", "1e9223372036854775807"] {
            assert_eq!(plain(literal), None, "{literal}");
        }
        assert_eq!(plain("0e99999999999999999999").as_deref(), Some("0"));
    }

    #[test]
    fn number_is_kept_exactly() {
        for (literal, value) in [
            ("42", json!(42)),
            ("82.0", json!(82)),
            ("1e3", json!(1000)),
            ("2.5", json!(2.5)),
            ("0.1", json!(0.1)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("9007199254740993.0", json!(9_007_199_254_740_993_i64)),
            ("18446744073709551617", json!("18446744073709551617")),
            ("0.1000000000000000055511151231257827", json!("0.1000000000000000055511151231257827")),
            ("1e300", json!(1e300)),
            ("5e-324", json!(5e-324)),
        ] {
            assert_eq!(exact(literal), Some(value), "{literal}");
        }
    }
}
