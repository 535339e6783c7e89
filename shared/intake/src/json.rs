//! Parsing of JSON bodies, with exact numbers and bounded nesting.

use html_escape::decode_html_entities;
use lead::FieldIssue;
use lead::text::{is_unseen, visible};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::hint::json_hint;
use crate::limits::{MAX_BODY_DEPTH, MAX_DEPTH, MAX_KEY_CHARS};
use crate::normalize::is_absent;
use crate::number;
use crate::path::{ATTRIBUTES, Path};
use crate::raw::{depth, items, members, string};
use crate::reading::Reading;
use crate::rejection::Rejection;

/// Parses the members of a body that is one JSON object, including repeated names.
///
/// The syntax of the whole body is checked first, without recursion. Each value is then parsed from its own
/// text, so that numbers keep their digits and only a value that exceeds a limit is dropped.
///
/// # Errors
///
/// Fails for invalid JSON, for a body that is not an object, and for too many names or too deep nesting.
pub(crate) fn read_body(text: &str, reading: &mut Reading) -> Result<Vec<(String, Value)>, Rejection> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        Rejection::invalid_json(format!(
            "not valid JSON at line {}, column {}: {}",
            error.line(),
            error.column(),
            json_hint(text, error.is_eof())
        ))
    })?;
    match raw.get().as_bytes().first() {
        Some(b'{') => {}
        Some(b'"') => {
            return Err(Rejection::invalid_json(
                "must be one JSON object; it is a JSON string that may hold one",
            ));
        }
        _ => return Err(Rejection::invalid_json("must be one JSON object, with one lead a request")),
    }
    if depth(raw.get()) > MAX_BODY_DEPTH {
        return Err(Rejection::too_deep());
    }
    let mut fields = Vec::new();
    for (key, raw) in members(raw)? {
        reading.take_name()?;
        let Some(key) = read_key(&key, &ATTRIBUTES, reading) else { continue };
        let position = Position { path: Path::top(&key), depth: 2, in_list: false };
        if let Some(value) = value(raw, &position, reading)? {
            fields.push((key, value));
        }
    }
    Ok(fields)
}

/// Parses a text that holds one JSON object, as a value at the second level of a body. Returns `None` if it
/// holds none.
pub(crate) fn read_object_text(
    text: &str,
    path: Path<'_>,
    reading: &mut Reading,
) -> Result<Option<Map<String, Value>>, Rejection> {
    let text = text.trim_matches(is_unseen);
    if !text.starts_with('{') {
        return Ok(None);
    }
    // Platforms that HTML-encode every text also encode the quotes of this one.
    let decoded = if text.starts_with("{&quot;") { decode_html_entities(text) } else { text.into() };
    match serde_json::from_str::<&RawValue>(&decoded) {
        Ok(raw) if depth(raw.get()) <= MAX_BODY_DEPTH => {
            object(raw, &Position { path, depth: 2, in_list: false }, reading).map(Some)
        }
        _ => Ok(None),
    }
}

/// Normalizes a field name: trims it, removes hidden characters, and cuts it to [`MAX_KEY_CHARS`]. Returns
/// `None` if nothing remains.
pub(crate) fn read_key(text: &str, parent: &Path<'_>, reading: &mut Reading) -> Option<String> {
    let key: String = visible(text).trim().nfc().collect();
    if key.is_empty() {
        reading.note(parent, FieldIssue::NoName);
        return None;
    }
    match key.char_indices().nth(MAX_KEY_CHARS) {
        None => Some(key),
        Some((end, _)) => {
            reading.note(&Path::Member(parent, &key), FieldIssue::LongName);
            Some(key[..end].trim_end().to_owned())
        }
    }
}

/// The position of a value in a body.
struct Position<'a> {
    path: Path<'a>,
    /// The nesting depth of the value if it is an object or a list. The body has depth 1.
    depth: usize,
    in_list: bool,
}

/// Parses one value. Returns `None` if it is dropped. The recursion is bounded by [`MAX_DEPTH`].
fn value(raw: &RawValue, position: &Position<'_>, reading: &mut Reading) -> Result<Option<Value>, Rejection> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'{' | b'[') if position.depth > MAX_DEPTH => {
            reading.note(&position.path, FieldIssue::TooDeep);
            None
        }
        Some(b'{') => Some(Value::Object(object(raw, position, reading)?)),
        Some(b'[') => Some(Value::Array(list(raw, position, reading)?)),
        Some(b'"') => {
            let (text, is_whole) = string(text);
            if !is_whole {
                reading.note(&position.path, FieldIssue::NotText);
            }
            Some(text.into())
        }
        Some(b't') => Some(true.into()),
        Some(b'f') => Some(false.into()),
        Some(b'n') => Some(Value::Null),
        _ => {
            let number = number::exact(text);
            if number.is_none() {
                reading.note(&position.path, FieldIssue::InexactNumber);
            }
            number
        }
    })
}

fn object(
    raw: &RawValue,
    position: &Position<'_>,
    reading: &mut Reading,
) -> Result<Map<String, Value>, Rejection> {
    let mut object = Map::new();
    let mut repeated = Vec::new();
    for (key, raw) in members(raw)? {
        if !position.in_list {
            reading.take_name()?;
        } else if !reading.take_item() {
            reading.note(&position.path, FieldIssue::TooMany);
            break;
        }
        let Some(key) = read_key(&key, &position.path, reading) else { continue };
        let inner = Position {
            path: Path::Member(&position.path, &key),
            depth: position.depth + 1,
            in_list: position.in_list,
        };
        let Some(value) = value(raw, &inner, reading)? else { continue };
        match object.get(&key) {
            Some(known) if is_absent(&value) || *known == value => {}
            Some(known) if !is_absent(known) => repeated.push(key),
            _ => {
                object.insert(key, value);
            }
        }
    }
    // It is unknown which of the different values is right.
    for key in repeated {
        reading.note(&Path::Member(&position.path, &key), FieldIssue::Repeated);
        object.remove(&key);
    }
    Ok(object)
}

fn list(raw: &RawValue, position: &Position<'_>, reading: &mut Reading) -> Result<Vec<Value>, Rejection> {
    let mut list = Vec::new();
    for (index, raw) in items(raw)?.into_iter().enumerate() {
        if !reading.take_item() {
            reading.note(&position.path, FieldIssue::TooMany);
            break;
        }
        let inner =
            Position { path: Path::Item(&position.path, index), depth: position.depth + 1, in_list: true };
        list.extend(value(raw, &inner, reading)?);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::{MAX_FIELDS, MAX_ITEMS};

    fn read(text: &str) -> Result<(Value, Vec<String>), Rejection> {
        let mut reading = Reading::new();
        let fields = read_body(text, &mut reading)?;
        let notes = reading.into_notes().into_iter().map(|note| format!("{} {}", note.field, note.issue));
        Ok((Value::Object(fields.into_iter().collect()), notes.collect()))
    }

    fn nested(levels: usize) -> String {
        format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    #[test]
    fn json_is_parsed_with_exact_numbers() {
        let text =
            r#"{"a":[1,-2,2.5,1e3,18446744073709551615],"b":{"c":true,"d":null},"e":"\u00e9\n😀","f":false}"#;
        let expected = json!({"a": [1, -2, 2.5, 1000, 18_446_744_073_709_551_615_u64], "b": {"c": true, "d": null},
            "e": "é\n😀", "f": false});
        assert_eq!(read(text).unwrap(), (expected, vec![]));
        let large = json!({"id": "120210000000000000001"});
        assert_eq!(read(r#"{"id":120210000000000000001}"#).unwrap(), (large, vec![]));
    }

    #[test]
    fn nesting_over_a_limit_drops_the_value_or_the_body() {
        assert_eq!(read(&nested(MAX_DEPTH)).unwrap().1, [""; 0]);
        let (value, notes) = read(&nested(MAX_DEPTH + 1)).unwrap();
        assert_eq!(value, json!({"a": [[[[[[[]]]]]]]}));
        assert_eq!(notes, ["attributes.a[0][0][0][0][0][0] too_deep"]);
        assert!(read(&nested(MAX_BODY_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_BODY_DEPTH + 1)).unwrap_err().error, "too_deep");
        assert_eq!(read(&nested(100_000)).unwrap_err().error, "too_deep");
        assert_eq!(read(&"{\"a\":".repeat(50_000)).unwrap_err().error, "invalid_json");
    }

    #[test]
    fn excess_names_are_rejected_and_excess_items_dropped() {
        let list = |items: usize| format!("{{\"a\":[{}1],\"b\":2}}", "1,".repeat(items - 1));
        assert_eq!(read(&list(MAX_ITEMS)).unwrap().1, [""; 0]);
        let (value, notes) = read(&list(MAX_ITEMS + 1)).unwrap();
        assert_eq!((value["a"].as_array().unwrap().len(), &value["b"]), (MAX_ITEMS, &json!(2)));
        assert_eq!(notes, ["attributes.a too_many"]);
        let (value, notes) =
            read(&format!("{{\"a\":[{}]}}", vec![r#"{"x":1,"y":2}"#; 300].join(","))).unwrap();
        assert!(value["a"].as_array().unwrap().len() < 300);
        assert!(notes.contains(&"attributes.a too_many".to_owned()), "{notes:?}");
        let names = |names: usize| {
            let members: Vec<_> = (0..names).map(|n| format!("\"f{n}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(read(&names(MAX_FIELDS)).is_ok());
        let rejection = read(&names(MAX_FIELDS + 1)).unwrap_err();
        assert_eq!(rejection.error, "too_many_fields");
        assert!(rejection.message.contains("top level"), "{rejection}");
    }

    #[test]
    fn repeated_name_counts_if_its_values_are_equal() {
        let (value, notes) =
            read(r#"{"marketo":{"name":1,"name ":2,"name":1,"b":3,"b":3,"c":null,"c":4,"c":""}}"#).unwrap();
        assert_eq!(value, json!({"marketo": {"b": 3, "c": 4}}));
        assert_eq!(notes, ["marketo.name repeated"]);
    }

    #[test]
    fn bad_name_is_normalized_or_dropped() {
        let long = "k".repeat(MAX_KEY_CHARS + 1);
        let (value, notes) =
            read(&format!("{{\"\":1,\" \":2,\"a\\u0000b\":3,\"\u{feff}c\":4,\"{long}\":5}}")).unwrap();
        assert_eq!(value, json!({"a b": 3, "c": 4, &long[1..]: 5}));
        assert_eq!(notes, ["attributes no_name", "attributes.* long_name"]);
    }

    #[test]
    fn invalid_value_is_dropped_or_cleaned() {
        let (value, notes) = read(r#"{"a":1e999,"b":"x\ud83d","c":1}"#).unwrap();
        assert_eq!(value, json!({"b": "x", "c": 1}));
        assert_eq!(notes, ["attributes.a inexact_number", "attributes.b not_text"]);
    }

    #[test]
    fn body_that_is_not_one_object_is_rejected() {
        for text in [
            "[{}]",
            "\"a\"",
            "1",
            "{} {}",
            "{",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "{\"\\ud800\":1}",
            "{\"a\":\"\\x\"}",
        ] {
            assert_eq!(read(text).unwrap_err().error, "invalid_json", "{text}");
        }
    }
}
