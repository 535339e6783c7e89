use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::hint::json_hint;
use crate::limits::{MAX_DEPTH, MAX_FIELDS, MAX_KEY_CHARS};
use crate::parse::known;
use crate::rejection::Rejection;

/// What is left of a body's allowance of fields and list items.
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(MAX_FIELDS)
    }

    /// Takes one field or list item.
    pub(crate) fn take(&mut self) -> Result<(), Rejection> {
        self.0 = self.0.checked_sub(1).ok_or_else(Rejection::too_many_fields)?;
        Ok(())
    }
}

/// Reads one JSON object that stands `depth` levels deep (1 for a body), within all bounds.
///
/// The bounds are kept while reading, so that no input makes us build, or recurse into, more than they allow.
pub(crate) fn read_object(
    text: &str,
    depth: usize,
    budget: &mut Budget,
) -> Result<Map<String, Value>, Rejection> {
    let mut breach = None;
    let mut source = serde_json::Deserializer::from_str(text);
    let read = Node { depth, field: None, budget, breach: &mut breach }
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value));
    match (breach, read) {
        (Some(rejection), _) => Err(rejection),
        (None, Ok(Value::Object(object))) => Ok(object),
        (None, Ok(_)) => Err(Rejection::invalid_json("must be one JSON object, with one lead a request")),
        (None, Err(error)) => Err(Rejection::invalid_json(format!(
            "not valid JSON at line {}, column {}: {}",
            error.line(),
            error.column(),
            json_hint(text, error.is_eof())
        ))),
    }
}

/// A field name: trimmed, not empty, bounded, without control characters.
pub(crate) fn read_key(text: &str) -> Result<&str, Rejection> {
    let key = text.trim();
    let good = !key.is_empty() && key.chars().count() <= MAX_KEY_CHARS && !key.chars().any(char::is_control);
    good.then_some(key).ok_or_else(Rejection::bad_key)
}

/// Adds a field that must not be there yet.
pub(crate) fn insert_once(object: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), Rejection> {
    match object.insert(key.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Rejection::duplicate()),
    }
}

/// Reads one value that stands `depth` levels deep, in the top-level `field` where it is one of ours. A bound that is
/// broken is left in `breach`: serde's own errors carry only text.
struct Node<'a> {
    depth: usize,
    field: Option<&'static str>,
    budget: &'a mut Budget,
    breach: &'a mut Option<Rejection>,
}

impl Node<'_> {
    fn child(&mut self, field: Option<&'static str>) -> Node<'_> {
        Node { depth: self.depth + 1, field, budget: self.budget, breach: self.breach }
    }

    /// Gives up where a bound of ours is broken.
    fn check<T, E: de::Error>(
        &mut self,
        result: Result<T, Rejection>,
        field: Option<&'static str>,
    ) -> Result<T, E> {
        result.map_err(|rejection| {
            let error = E::custom(rejection.error);
            *self.breach = Some(rejection.within(field));
            error
        })
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        let depth = if self.depth > MAX_DEPTH { Err(Rejection::too_deep()) } else { Ok(()) };
        self.check(depth, self.field)
    }

    fn spend<E: de::Error>(&mut self) -> Result<(), E> {
        let taken = self.budget.take();
        self.check(taken, self.field)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut source: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        let field = self.field;
        while let Some(item) = source.next_element_seed(self.child(field))? {
            self.spend()?;
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut source: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut object = Map::new();
        while let Some(key) = source.next_key::<String>()? {
            self.spend()?;
            let key = self.check(read_key(&key), self.field)?;
            let field = if self.depth == 1 { known(key) } else { self.field };
            let value = source.next_value_seed(self.child(field))?;
            self.check(insert_once(&mut object, key, value), field)?;
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>, Rejection> {
        read_object(text, 1, &mut Budget::new())
    }

    fn nested(levels: usize) -> String {
        format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,2.5,1e3,18446744073709551615],"b":{"c":true,"d":null},"e":"\u00e9\n"}"#;
        assert_eq!(Value::Object(read(text).unwrap()), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn nesting_is_bounded_however_deep_it_goes() {
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)).unwrap_err().error, "too_deep");
        assert_eq!(read(&nested(100_000)).unwrap_err().error, "too_deep");
        assert_eq!(read(&"{\"a\":".repeat(50_000)).unwrap_err().error, "too_deep");
    }

    #[test]
    fn members_and_list_items_share_one_allowance() {
        let list = |items: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(items - 1));
        assert!(read(&list(MAX_FIELDS - 1)).is_ok());
        assert_eq!(read(&list(MAX_FIELDS)).unwrap_err().error, "too_many_fields");
    }

    #[test]
    fn a_name_that_comes_twice_or_is_no_name_is_refused() {
        for (text, field) in [
            (r#"{"a":1,"a ":2}"#, None),
            (r#"{"email":1,"email":2}"#, Some("email")),
            (r#"{"marketo":{"name":1,"name":2}}"#, Some("marketo")),
        ] {
            let rejection = read(text).unwrap_err();
            assert_eq!((rejection.error, rejection.field), ("duplicate_field", field), "{text}");
        }
        for key in ["", " ", "a\\u0000b", &"k".repeat(MAX_KEY_CHARS + 1)] {
            assert_eq!(read(&format!("{{\"{key}\":1}}")).unwrap_err().error, "invalid_field", "{key:?}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in
            ["[{}]", "\"a\"", "1", "{} {}", "{", "{\"a\":NaN}", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}"]
        {
            assert_eq!(read(text).unwrap_err().error, "invalid_json", "{text}");
        }
    }
}
