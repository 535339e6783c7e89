use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::absent::tidy_text;
use crate::json::{Budget, insert_once, read_key, read_object};
use crate::limits::MAX_DEPTH;
use crate::parse::{NAMESPACES, known};
use crate::rejection::Rejection;

/// Reads a form body into what the same lead would be in JSON, with all values as text.
///
/// Stricter than a browser's rules: a part without `=`, or text that is not UTF-8, is what a value with a raw `&` or
/// in another encoding leaves behind, and half a company name is worse than a rejection.
pub(crate) fn read_form(text: &str, budget: &mut Budget) -> Result<Map<String, Value>, Rejection> {
    if !text.contains('=') {
        return Err(Rejection::invalid_form("the body is neither a JSON object nor a form"));
    }
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Rejection::invalid_form(
                "a value holds a raw &; set the webhook's request token encoding to Form/URL, so that Marketo escapes it",
            )
        })?;
        budget.take()?;
        let (key, value) = (decode(key)?, decode(value)?);
        add(&mut fields, read_key(&key)?, &value, budget)?;
    }
    Ok(fields)
}

fn decode(text: &str) -> Result<String, Rejection> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| Rejection::invalid_form("a value is not UTF-8 text"))
}

fn add(
    fields: &mut Map<String, Value>,
    key: &str,
    value: &str,
    budget: &mut Budget,
) -> Result<(), Rejection> {
    let Some((namespace, path)) =
        NAMESPACES.into_iter().find_map(|namespace| Some((namespace, path_in(namespace, key)?)))
    else {
        return insert_once(fields, key, value.into()).map_err(|rejection| rejection.within(known(key)));
    };
    if path.is_empty() {
        let object = match tidy_text(value) {
            Some(text) => {
                read_object(&text, 2, budget).map_err(|rejection| rejection.within(Some(namespace)))?
            }
            None => Map::new(),
        };
        object.into_iter().try_for_each(|(key, value)| insert_at(fields, &[namespace, &key], value))
    } else if path.len() >= MAX_DEPTH {
        Err(Rejection::too_deep().within(Some(namespace)))
    } else {
        let path: Vec<&str> = std::iter::once(namespace).chain(path).collect();
        insert_at(fields, &path, value.into())
    }
    .map_err(|rejection| rejection.within(Some(namespace)))
}

/// The path that `namespace.a.b` or `namespace[a][b]` stands for; empty for the namespace itself. Each name in it is
/// trimmed, as a name in JSON is: `marketo.a` and `marketo. a` are the same field given twice.
fn path_in<'a>(namespace: &str, key: &'a str) -> Option<Vec<&'a str>> {
    let rest = key.strip_prefix(namespace)?;
    let path: Vec<&str> = if rest.is_empty() {
        Vec::new()
    } else if let Some(dotted) = rest.strip_prefix('.') {
        dotted.split('.').map(str::trim).collect()
    } else {
        rest.strip_prefix('[')?.strip_suffix(']')?.split("][").map(str::trim).collect()
    };
    path.iter().all(|name| !name.is_empty()).then_some(path)
}

fn insert_at(object: &mut Map<String, Value>, path: &[&str], value: Value) -> Result<(), Rejection> {
    let [first, rest @ ..] = path else { return Ok(()) };
    if rest.is_empty() {
        return insert_once(object, first, value);
    }
    match object.entry(*first).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => insert_at(inner, rest, value),
        _ => Err(Rejection::duplicate()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, Rejection> {
        read_form(text, &mut Budget::new()).map(Value::Object)
    }

    #[test]
    fn a_namespace_can_be_written_three_ways() {
        let expected = json!({"marketo": {"engagement_score": "80", "program": {"name": "x y"}}});
        assert_eq!(read("marketo.engagement_score=80&marketo.program.name=x+y").unwrap(), expected);
        assert_eq!(read("marketo[engagement_score]=80&marketo%5Bprogram%5D[name]=x%20y").unwrap(), expected);
        assert_eq!(
            read("marketo=%7B%22engagement_score%22%3A%2280%22%7D&marketo.program.name=x+y").unwrap(),
            expected
        );
        assert_eq!(
            read("marketo=null&marketo.=1&marketo[]=2").unwrap(),
            json!({"marketo.": "1", "marketo[]": "2"})
        );
    }

    #[test]
    fn a_field_that_comes_twice_is_refused() {
        for body in [
            "email=a&email=b",
            "marketo.a=1&marketo[a]=2",
            "marketo.a=1&marketo.+a=2",
            "marketo.a+.b=1&marketo[a][b+]=2",
            "marketo.a=1&marketo.a.b=2",
            "marketo={\"a\":1}&marketo.a=1",
        ] {
            assert_eq!(read(body).unwrap_err().error, "duplicate_field", "{body}");
        }
    }

    #[test]
    fn a_raw_ampersand_in_a_value_is_refused_with_a_hint() {
        let rejection = read("company=Smith & Sons&email=a@example.com").unwrap_err();
        assert_eq!(rejection.error, "invalid_form");
        assert!(rejection.message.contains("raw &"), "{rejection}");
    }

    #[test]
    fn what_is_no_form_or_no_text_is_refused() {
        assert_eq!(read("hello").unwrap_err().error, "invalid_form");
        assert_eq!(read("name=Jos%E9").unwrap_err().error, "invalid_form");
        assert_eq!(read("marketo=[1]").unwrap_err().error, "invalid_json");
        assert_eq!(read("marketo={\"a\":").unwrap_err().field, Some("marketo"));
    }

    #[test]
    fn a_form_is_bounded_like_json() {
        assert_eq!(read(&"a=1&".repeat(600)).unwrap_err().error, "duplicate_field");
        let many: Vec<String> = (0..513).map(|n| format!("f{n}=1")).collect();
        assert_eq!(read(&many.join("&")).unwrap_err().error, "too_many_fields");
        assert!(read(&format!("marketo{}=1", ".a".repeat(MAX_DEPTH - 1))).is_ok());
        assert_eq!(read(&format!("marketo{}=1", ".a".repeat(MAX_DEPTH))).unwrap_err().error, "too_deep");
        assert_eq!(read(&format!("marketo={}", "{\"a\":".repeat(9))).unwrap_err().error, "too_deep");
    }
}
