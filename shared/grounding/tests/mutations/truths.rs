//! Other spellings of the same fact.

use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

/// The claimed value in every spelling that still equals the fact. `fact` may be the list of which the value
/// is a member.
pub(crate) fn spellings(value: &Value, fact: &Value) -> Vec<(&'static str, Value)> {
    let mut spellings = vec![("as it is", value.clone())];
    match value {
        Value::String(text) => {
            let mut spelling = |kind, text: String| spellings.push((kind, Value::String(text)));
            spelling("upper case", text.to_uppercase());
            spelling("lower case", text.to_lowercase());
            spelling("white space", format!("\t{} \n", text.replace(' ', " \u{a0} ")));
            spelling("decomposed letters", text.nfd().collect());
            spelling("full-width letters", text.chars().map(full_width).collect());
            spelling("one pair of quotation marks", format!("\"{text}\""));
            spelling("one pair of quotation marks", format!("“{text}”"));
            if text.contains('&') {
                spelling("an escaped ampersand", text.replace('&', "&amp;"));
            }
            if text.contains('-') && !text.contains(|c: char| c.is_numeric()) {
                spelling("a dash for a hyphen", text.replace('-', "–"));
            }
            if let Ok(number) = text.parse::<u64>()
                && number.to_string() == *text
            {
                spelling("grouped thousands", grouped(text));
                spellings.push(("text as a number", json!(number)));
            }
            if text == "true" {
                spellings.push(("boolean as a word", json!(true)));
            }
        }
        Value::Bool(truth) => {
            for word in [truth.to_string(), truth.to_string().to_uppercase()] {
                spellings.push(("boolean as a word", json!(word)));
            }
        }
        Value::Number(number) => {
            let text = number.to_string();
            spellings.push(("number as a text", json!(format!(" {text} "))));
            if let Some(whole) = number.as_i64() {
                spellings.push(("number with a fraction of zero", json!(format!("{whole}.00"))));
                spellings.push(("grouped thousands", json!(grouped(&text))));
                spellings.push(("number as a text", json!(format!("{whole}.0e0"))));
                if whole != 0 {
                    spellings.push(("scientific number", json!(format!("{whole}00e-2"))));
                }
                spellings.push(("scientific number", json!(format!("{whole}E+0"))));
                if let Ok(small) = i32::try_from(whole) {
                    spellings.push(("number with a fraction of zero", json!(f64::from(small))));
                }
            }
        }
        other => panic!("no truthful claim of {other} about {fact}"),
    }
    if let Value::Array(members) = fact {
        spellings.push(("as it is", fact.clone()));
        spellings.push(("some members of a list", json!([value])));
        let words: Option<Vec<String>> = members.iter().map(word).collect();
        if let Some(words) = words.filter(|words| words.len() > 1) {
            spellings.push(("all members in one text", json!(words.join(", "))));
        }
    }
    spellings
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn full_width(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
        other => other,
    }
}

/// `-1234567` as `-1,234,567`.
pub(crate) fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    format!("{sign}{}", groups.join(","))
}
