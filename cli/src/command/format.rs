//! Formatting of values for people.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::Value;

use crate::output::visible;

/// Number of characters shown of an id. Every command accepts such a prefix.
const SHORT_ID_CHARS: usize = 12;

/// The prefix of an id that is shown.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(SHORT_ID_CHARS).collect()
}

/// A time to the second, in UTC.
pub(crate) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The age of a time, in the largest unit that fits.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A value, or a dash if it is absent.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A number with the singular or plural of a noun.
pub(crate) fn count(number: impl TryInto<u64> + Display + Copy, one: &str, several: &str) -> String {
    let noun = if number.try_into().is_ok_and(|number| number == 1) { one } else { several };
    format!("{number} {noun}")
}

/// Quotes a word for a shell and for a `.env` file.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// JSON on one line, in a compact form: `attempts=5 failure.code=crm_timeout`.
pub(crate) fn flat(value: &Value) -> String {
    let mut parts = Vec::new();
    flatten("", value, &mut parts);
    visible(&parts.join(" "))
}

fn flatten(path: &str, value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, member, parts);
            }
        }
        Value::Null => {}
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(flat_item).collect();
            if !items.is_empty() {
                parts.push(named(path, &items.join(",")));
            }
        }
        value => parts.push(named(path, &scalar(value))),
    }
}

fn flat_item(item: &Value) -> String {
    if item.is_object() { format!("({})", flat(item)) } else { scalar(item) }
}

fn named(path: &str, value: &str) -> String {
    if path.is_empty() { value.to_owned() } else { format!("{path}={value}") }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_age_is_in_the_largest_unit_that_fits() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, words) in
            [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min"), (3_600, "1 h"), (172_800, "2 d")]
        {
            assert_eq!(age(Timestamp::from_second(1_000_000 - seconds).unwrap(), now), words);
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("launch_2024"), "launch_2024");
        assert_eq!(quoted("http://127.0.0.1:4611/gtm"), "http://127.0.0.1:4611/gtm");
        assert_eq!(quoted("two words"), "'two words'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted("a\nb"), "'a\nb'");
    }

    #[test]
    fn json_becomes_one_readable_line() {
        let value = json!({"a": {"b": 1, "c": null}, "d": ["x", "y z"], "e": [{"f": true, "g": 2}, {"f": 3}], "h": [], "i": ""});
        assert_eq!(flat(&value), "a.b=1 d=x,\"y z\" e=(f=true g=2),(f=3) i=\"\"");
    }
}
