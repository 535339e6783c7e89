//! Parsing of form bodies.

use std::collections::HashSet;

use lead::FieldIssue;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::json::read_key;
use crate::limits::MAX_DEPTH;
use crate::names::{CAMPAIGN, EMAIL, NAMESPACES, known_field};
use crate::path::{ATTRIBUTES, Path};
use crate::reading::Reading;
use crate::rejection::Rejection;

/// Parses a form body to the fields that the same lead has in JSON, with all values as text. Names may
/// repeat, since forms send several choices that way.
///
/// This is stricter than the rules of browsers: a part without `=` is the rest of a value with a raw `&`, and
/// a truncated company name is worse than a rejection.
///
/// # Errors
///
/// Fails for a body without `=`, for a part without `=`, for a name that is not UTF-8, for an address or
/// campaign that is not UTF-8, and for too many names.
pub(crate) fn read_form(text: &str, reading: &mut Reading) -> Result<Vec<(String, Value)>, Rejection> {
    if !text.contains('=') {
        return Err(Rejection::invalid_form("the body is neither a JSON object nor a form"));
    }
    let mut fields = Vec::new();
    let mut names = HashSet::new();
    for pair in text.split('&').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Rejection::invalid_form(
                "a value holds a raw &; set the webhook's request token encoding to Form/URL, so that Marketo escapes it",
            )
        })?;
        let key = decode(key).ok_or_else(not_text)?;
        let Some(key) = read_key(&key, &ATTRIBUTES, reading) else { continue };
        let (name, value) = match (decode(value), namespace_path(&key)) {
            (None, _) if [&EMAIL, &CAMPAIGN].into_iter().any(|field| field.rank(&key).is_some()) => {
                return Err(not_text().within(known_field(&key)));
            }
            (None, _) => {
                reading.note(&Path::top(&key), FieldIssue::NotText);
                continue;
            }
            (Some(_), Some((field, path))) if path.len() >= MAX_DEPTH => {
                reading.note(&Path::Field(field), FieldIssue::TooDeep);
                continue;
            }
            (Some(value), Some((field, path))) => (field.to_owned(), nested(&path, value.into())),
            (Some(value), None) => (key.clone(), value.into()),
        };
        if names.insert(key) {
            reading.take_name()?;
        } else if !reading.take_item() {
            reading.note(&Path::top(&name), FieldIssue::TooMany);
            continue;
        }
        fields.push((name, value));
    }
    Ok(fields)
}

fn not_text() -> Rejection {
    Rejection::invalid_form("a value is not UTF-8 text")
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The namespace field and the path inside it that `marketo.a.b` or `marketo[a][b]` denotes.
fn namespace_path(key: &str) -> Option<(&'static str, Vec<&str>)> {
    NAMESPACES.into_iter().find_map(|field| Some((field.name, path_in(field.name, key)?)))
}

/// Trims each name of the path, as names in JSON: `marketo.a` and `marketo. a` are the same field.
fn path_in<'a>(namespace: &str, key: &'a str) -> Option<Vec<&'a str>> {
    let rest = key.strip_prefix(namespace)?;
    let path: Vec<&str> = if let Some(dotted) = rest.strip_prefix('.') {
        dotted.split('.').map(str::trim).collect()
    } else {
        rest.strip_prefix('[')?.strip_suffix(']')?.split("][").map(str::trim).collect()
    };
    path.iter().all(|name| !name.is_empty()).then_some(path)
}

fn nested(path: &[&str], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, name| Value::Object(Map::from_iter([((*name).to_owned(), inner)])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::{MAX_FIELDS, MAX_ITEMS};

    fn read(text: &str) -> Result<Vec<(String, Value)>, Rejection> {
        read_form(text, &mut Reading::new())
    }

    fn one(text: &str) -> (String, Value) {
        read(text).unwrap().pop().unwrap()
    }

    #[test]
    fn path_is_written_with_dots_or_brackets() {
        let expected = ("marketo".to_owned(), json!({"program": {"name": "x y"}}));
        assert_eq!(one("marketo.program.name=x+y"), expected);
        assert_eq!(one("marketo%5Bprogram%5D[name]=x%20y"), expected);
        assert_eq!(one("marketo. program .name=x%20y"), expected);
        for key in ["marketo.", "marketo[]", "marketo[a", "marketo"] {
            assert_eq!(one(&format!("{key}=1")), (key.to_owned(), json!("1")));
        }
    }

    #[test]
    fn raw_ampersand_is_rejected_with_a_hint() {
        let rejection = read("company=Smith & Sons&email=a@example.com").unwrap_err();
        assert_eq!(rejection.error, "invalid_form");
        assert!(rejection.message.contains("raw &"), "{rejection}");
    }

    #[test]
    fn text_in_another_encoding_drops_its_field() {
        assert_eq!(read("hello").unwrap_err().error, "invalid_form");
        let mut reading = Reading::new();
        assert_eq!(read_form("name=Jos%E9&x=1", &mut reading).unwrap(), [("x".to_owned(), json!("1"))]);
        assert_eq!(reading.into_notes()[0].field, "name");
        let rejection = read("Email=Jos%E9").unwrap_err();
        assert_eq!((rejection.error, rejection.field), ("invalid_form", Some("email")));
    }

    #[test]
    fn form_has_the_same_limits_as_json() {
        assert_eq!(read(&"a=1&".repeat(MAX_ITEMS + 9)).unwrap().len(), MAX_ITEMS + 1);
        let many: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("f{n}=1")).collect();
        assert_eq!(read(&many.join("&")).unwrap_err().error, "too_many_fields");
        assert_eq!(read(&format!("marketo{}=1", ".a".repeat(MAX_DEPTH - 1))).unwrap().len(), 1);
        assert_eq!(read(&format!("marketo{}=1", ".a".repeat(MAX_DEPTH))).unwrap().len(), 0);
    }
}
