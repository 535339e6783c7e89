use std::collections::HashSet;

use lead::FieldIssue;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::json::read_key;
use crate::limits::MAX_DEPTH;
use crate::names::{CAMPAIGN, EMAIL, NAMESPACES, known};
use crate::path::{ATTRIBUTES, Path};
use crate::reading::Reading;
use crate::rejection::Rejection;

/// Reads a form body into the fields that the same lead would have in JSON, with all values as text. A field may come
/// twice: that is how forms send several choices.
///
/// Stricter than a browser's rules: a part without `=` is what a value with a raw `&` leaves behind, and half a company
/// name is worse than a rejection.
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
        let (name, value) = match (decode(value), address(&key)) {
            (None, _) if [&EMAIL, &CAMPAIGN].into_iter().any(|field| field.rank(&key).is_some()) => {
                return Err(not_text().within(known(&key)));
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

/// The field and the path inside it that `marketo.a.b` or `marketo[a][b]` stands for.
fn address(key: &str) -> Option<(&'static str, Vec<&str>)> {
    NAMESPACES.into_iter().find_map(|field| Some((field.name, path_in(field.name, key)?)))
}

/// Each name of a path is trimmed, as a name in JSON is: `marketo.a` and `marketo. a` are the same field.
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
    fn a_path_can_be_written_with_dots_or_brackets() {
        let expected = ("marketo".to_owned(), json!({"program": {"name": "x y"}}));
        assert_eq!(one("marketo.program.name=x+y"), expected);
        assert_eq!(one("marketo%5Bprogram%5D[name]=x%20y"), expected);
        assert_eq!(one("marketo. program .name=x%20y"), expected);
        for key in ["marketo.", "marketo[]", "marketo[a", "marketo"] {
            assert_eq!(one(&format!("{key}=1")), (key.to_owned(), json!("1")));
        }
    }

    #[test]
    fn a_raw_ampersand_in_a_value_is_refused_with_a_hint() {
        let rejection = read("company=Smith & Sons&email=a@example.com").unwrap_err();
        assert_eq!(rejection.error, "invalid_form");
        assert!(rejection.message.contains("raw &"), "{rejection}");
    }

    #[test]
    fn text_in_another_encoding_costs_its_field() {
        assert_eq!(read("hello").unwrap_err().error, "invalid_form");
        let mut reading = Reading::new();
        assert_eq!(read_form("name=Jos%E9&x=1", &mut reading).unwrap(), [("x".to_owned(), json!("1"))]);
        assert_eq!(reading.into_notes()[0].field, "name");
        let rejection = read("Email=Jos%E9").unwrap_err();
        assert_eq!((rejection.error, rejection.field), ("invalid_form", Some("email")));
    }

    #[test]
    fn a_form_is_bounded_like_json() {
        assert_eq!(read(&"a=1&".repeat(MAX_ITEMS + 9)).unwrap().len(), MAX_ITEMS + 1);
        let many: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("f{n}=1")).collect();
        assert_eq!(read(&many.join("&")).unwrap_err().error, "too_many_fields");
        assert_eq!(read(&format!("marketo{}=1", ".a".repeat(MAX_DEPTH - 1))).unwrap().len(), 1);
        assert_eq!(read(&format!("marketo{}=1", ".a".repeat(MAX_DEPTH))).unwrap().len(), 0);
    }
}
