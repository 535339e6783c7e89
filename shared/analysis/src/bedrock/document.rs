//! JSON in the SDK's own type, and back.

use aws_smithy_types::{Document, Number};
use serde_json::Value;

pub(super) fn from_json(value: Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(flag) => Document::Bool(flag),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::PosInt(number),
            (None, Some(number)) => Number::NegInt(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Document::String(text),
        Value::Array(values) => Document::Array(values.into_iter().map(from_json).collect()),
        Value::Object(object) => {
            Document::Object(object.into_iter().map(|(key, value)| (key, from_json(value))).collect())
        }
    }
}

pub(super) fn to_json(document: Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(flag) => Value::Bool(flag),
        Document::Number(Number::PosInt(number)) => number.into(),
        Document::Number(Number::NegInt(number)) => number.into(),
        Document::Number(Number::Float(number)) => number.into(),
        Document::String(text) => Value::String(text),
        Document::Array(documents) => Value::Array(documents.into_iter().map(to_json).collect()),
        Document::Object(object) => {
            Value::Object(object.into_iter().map(|(key, document)| (key, to_json(document))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_changes_on_the_way_there_and_back() {
        let json =
            json!({ "a": [1, -1, 0.5, u64::MAX, i64::MIN, true, null, "text"], "b": { "c": {}, "d": [] } });
        assert_eq!(to_json(from_json(json.clone())), json);
    }
}
